"""The settings of a generation_config.json that belong to one greedy or sampled answer.

The rest (beams, other models as assistants, caches, extra outputs) is set aside: it makes every run
fail, or measures something else. A note of each run names it. No library is imported here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

FILE = "generation_config.json"
# Each with the values that ask for nothing, besides None and false.
SET_ASIDE: Mapping[str, tuple[Any, ...]] = {
    # several answers or beams
    "constraints": (),
    "diversity_penalty": (0,),
    "early_stopping": (),
    "force_words_ids": (),
    "length_penalty": (1,),
    "low_memory": (),
    "num_beam_groups": (1,),
    "num_beams": (1,),
    "num_return_sequences": (1,),
    # other ways to decode
    "dola_layers": (),
    "guidance_scale": (1,),
    "penalty_alpha": (0,),
    "token_healing": (),
    "watermarking_config": (),
    # guesses by an assistant, checked by the model
    "assistant_confidence_threshold": (0.4,),
    "assistant_early_exit": (),
    "assistant_ensemble_weight": (),
    "assistant_lookbehind": (10,),
    "is_assistant": (),
    "max_matching_ngram_size": (2,),
    "num_assistant_tokens": (20,),
    "num_assistant_tokens_schedule": ("constant",),
    "prompt_lookup_num_tokens": (),
    "speculation_type": (),
    "target_lookbehind": (10,),
    "use_mtp": (),
    # how the library computes
    "cache_config": (),
    "cache_implementation": (),
    "compile_config": (),
    "continuous_batching_config": (),
    "disable_compile": (),
    "max_cache_len": (),
    "prefill_chunk_size": (),
    # extra outputs
    "output_attentions": (),
    "output_hidden_states": (),
    "output_logits": (),
    "output_scores": (),
    "return_dict_in_generate": (),
    # a limit in seconds; the deadlines of a run are the sweep's
    "max_time": (),
}
# Settings that decide the text; the values that change nothing.
TEXT_KEYS: Mapping[str, tuple[Any, ...]] = {
    "bad_words_ids": (),
    "begin_suppress_tokens": (),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "exponential_decay_length_penalty": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "remove_invalid_values": (),
    "renormalize_logits": (),
    "repetition_penalty": (1,),
    "sequence_bias": (),
    "stop_strings": (),
    "suppress_tokens": (),
}
SAMPLING_KEYS: Mapping[str, tuple[Any, ...]] = {
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "min_p": (0,),
    "temperature": (1,),
    "top_h": (),
    "top_k": (50, 0),
    "top_p": (1,),
    "typical_p": (1,),
}


NUMBERS = {*SAMPLING_KEYS, "repetition_penalty", "encoder_repetition_penalty", "min_length"}
NUMBERS |= {"min_new_tokens", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"}
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def find_wrong_type(own: Mapping[str, Any]) -> str | None:
    """Return which setting is not a number or a token id, although it must be; None if fine."""
    for name in (*sorted(NUMBERS), *TOKEN_IDS):
        value = own.get(name)
        numbers = value if isinstance(value, list) and name in TOKEN_IDS else [value]
        for number in numbers:
            is_number = isinstance(number, int if name in TOKEN_IDS else int | float)
            if value is not None and (isinstance(number, bool) or not is_number):
                kind = "token id" if name in TOKEN_IDS else "number"
                return f"{value!r:.80} for {name}, which is not a {kind}"
    return None


def requested_keys(own: Mapping[str, Any], keys: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """Return those of `keys` that these settings set to a value that asks for something."""
    return [name for name in keys if _asks(own.get(name), keys[name])]


def _asks(value: Any, neutral: Collection[Any]) -> bool:
    return value is not None and value is not False and value not in ([], {}, "", *neutral)


def set_aside_notes(names: Iterable[str]) -> list[str]:
    """Return the note about settings that do not belong to one answer; none without any."""
    return _notes(names, "set aside, since a run is one greedy or sampled answer")


def unused_notes(own: Mapping[str, Any], used: Collection[str], sampled: bool) -> list[str]:
    """Return the notes about settings that the engine has no part for."""
    keys = {**TEXT_KEYS, **(SAMPLING_KEYS if sampled else {})}
    names = [name for name in requested_keys(own, keys) if name not in used]
    return [
        *set_aside_notes(requested_keys(own, SET_ASIDE)),
        *_notes(names, "not used by this engine"),
    ]


def _notes(names: Iterable[str], what: str) -> list[str]:
    listed = ", ".join(names)
    return [f"{FILE}: {what}: {listed}"] if listed else []


def stop_strings(value: Any) -> list[str]:
    """Return the texts that end an answer: one, several or none; empty ones end nothing."""
    found = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [text for text in found if isinstance(text, str) and text]


class StopStrings:
    """Finds the first stop string in text that arrives in pieces."""

    def __init__(self, texts: Collection[str]) -> None:
        self._texts = tuple(texts)
        self._kept = max((len(text) for text in texts), default=1) - 1
        self._tail = ""

    def found_in(self, piece: str) -> bool:
        """Add a piece; return True if a stop string has ended in it."""
        text = self._tail + piece
        self._tail = text[-self._kept :] if self._kept else ""
        return any(stop in text for stop in self._texts)
