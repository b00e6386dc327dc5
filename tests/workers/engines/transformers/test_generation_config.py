"""Every key of a checkpoint's generation_config.json: used, or set aside and noted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Turn
from schemas.generation import Generation
from workers.generation_config import (
    SAMPLING_KEYS,
    SET_ASIDE,
    TEXT_KEYS,
    StopStrings,
    requested_keys,
    stop_strings,
    unused_notes,
)

from .test_engine import answer, load, refusal

HI = Turn(text="Hi")
# A value for each key, as files have it.
VALUES: dict[str, Any] = {
    "assistant_confidence_threshold": 0.7,
    "assistant_early_exit": 1,
    "assistant_ensemble_weight": 0.5,
    "assistant_lookbehind": 4,
    "bad_words_ids": [[40], [41, 42]],
    "begin_suppress_tokens": [40, 41],
    "cache_config": {"batch_size": 2},
    "cache_implementation": "static",
    "compile_config": {"fullgraph": True, "dynamic": None, "backend": "inductor"},
    "constraints": [[40]],
    "continuous_batching_config": {"block_size": 8},
    "disable_compile": True,
    "diversity_penalty": 0.5,
    "dola_layers": "high",
    "early_stopping": True,
    "encoder_no_repeat_ngram_size": 2,
    "encoder_repetition_penalty": 1.2,
    "epsilon_cutoff": 0.01,
    "eta_cutoff": 0.01,
    "exponential_decay_length_penalty": [4, 1.5],
    "force_words_ids": [[40]],
    "forced_bos_token_id": 40,
    "forced_eos_token_id": 41,
    "guidance_scale": 1.5,
    "is_assistant": True,
    "length_penalty": 2.0,
    "low_memory": True,
    "max_cache_len": 64,
    "max_matching_ngram_size": 3,
    "max_time": 0.000001,
    "min_length": 4,
    "min_new_tokens": 4,
    "min_p": 0.2,
    "no_repeat_ngram_size": 2,
    "num_assistant_tokens": 7,
    "num_assistant_tokens_schedule": "heuristic",
    "num_beam_groups": 2,
    "num_beams": 4,
    "num_return_sequences": 3,
    "output_attentions": True,
    "output_hidden_states": True,
    "output_logits": True,
    "output_scores": True,
    "penalty_alpha": 0.6,
    "prefill_chunk_size": 2,
    "prompt_lookup_num_tokens": 3,
    "remove_invalid_values": True,
    "renormalize_logits": True,
    "repetition_penalty": 1.3,
    "return_dict_in_generate": True,
    "sequence_bias": [[[40], -3.0]],
    "speculation_type": "mtp",
    "stop_strings": ["no such text"],
    "suppress_tokens": [40, 41],
    "target_lookbehind": 4,
    "temperature": 0.7,
    "token_healing": True,
    "top_h": 0.5,
    "top_k": 4,
    "top_p": 0.5,
    "typical_p": 0.5,
    "use_mtp": True,
    "watermarking_config": {"bias": 2.5, "seeding_scheme": "lefthash"},
}
# Ids, lengths and the cache switch, which every run uses or sets itself.
PLAIN = {
    *("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id", "do_sample"),
    *("max_length", "max_new_tokens", "use_cache", "transformers_version"),
}


@pytest.fixture
def copy(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("smolvlm"), tmp_path / "copy"))


def configure(folder: Path, **values: Any) -> None:
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture(scope="module")
def plain(tiny: Callable[[str], Path]) -> str:
    return answer(load(tiny("smolvlm")), HI).raw_text


@pytest.mark.model
def test_every_key_of_the_library_has_a_place() -> None:
    from transformers import GenerationConfig

    known = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
    placed = PLAIN | set(SET_ASIDE) | set(TEXT_KEYS) | set(SAMPLING_KEYS)
    assert known - placed == set()
    assert {*SET_ASIDE, *TEXT_KEYS, *SAMPLING_KEYS} == set(VALUES)


@pytest.mark.model
@pytest.mark.parametrize("key", SET_ASIDE)
def test_what_is_no_part_of_one_answer_is_set_aside_and_noted(
    key: str, copy: Path, plain: str
) -> None:
    configure(copy, **{key: VALUES[key]})
    found = answer(load(copy), HI)
    assert found.raw_text == plain
    assert found.notes == [
        "generation_config.json: set aside, since a run is one greedy or sampled answer: " + key
    ]


@pytest.mark.model
def test_all_that_is_set_aside_together(copy: Path, plain: str) -> None:
    configure(copy, **{key: VALUES[key] for key in SET_ASIDE})
    engine = load(copy)
    assert answer(engine, HI).raw_text == plain
    sampled = Generation(max_new_tokens=12, do_sample=True, seed=3)
    (note,) = answer(engine, HI, generation=sampled).notes
    assert note.endswith(", ".join(SET_ASIDE))


@pytest.mark.model
@pytest.mark.parametrize("key", [*TEXT_KEYS, *SAMPLING_KEYS])
def test_what_decides_the_text_is_used(key: str, copy: Path) -> None:
    """The text equals that of a direct call with the same settings."""
    import torch
    from transformers import GenerationConfig

    sampled = key in SAMPLING_KEYS
    configure(copy, **{key: VALUES[key]})
    engine = load(copy)
    ask = Generation(max_new_tokens=12, do_sample=sampled, seed=3 if sampled else None)
    found = answer(engine, HI, generation=ask)
    assert found.notes == []
    hooks = engine._hooks
    settings = GenerationConfig.from_pretrained(copy)
    settings.update(max_new_tokens=12, do_sample=sampled)
    torch.manual_seed(3)
    inputs = hooks.prepare([HI])
    hooks.model.generation_config = settings
    out = hooks.model.generate(
        **inputs.tensors, generation_config=settings, tokenizer=hooks.tokenizer
    )
    assert found.raw_text == hooks.decode(out[0, inputs.input_tokens :].tolist())


@pytest.mark.model
@pytest.mark.parametrize("several", [False, True], ids=["a text", "a list"])
def test_a_stop_string_ends_the_answer(copy: Path, plain: str, several: bool) -> None:
    stop = plain[4:7]
    configure(copy, stop_strings=[stop, "no such text", ""] if several else stop)
    found = answer(load(copy), HI)
    assert found.finish_reason == "stop"
    assert stop in found.raw_text
    assert plain.startswith(found.raw_text)
    assert found.output_tokens < 12


@pytest.mark.model
def test_settings_in_the_config_are_set_aside_too(copy: Path, plain: str) -> None:
    (copy / "generation_config.json").unlink()
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"num_beams": 4}))
    assert answer(load(copy), HI).output_tokens == 12


@pytest.mark.model
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_p": "much"}, "generation_config.json has 'much' for min_p, which is not a number"),
        ({"top_k": True}, "generation_config.json has True for top_k, which is not a number"),
        ({"eos_token_id": [1, "x"]}, "has [1, 'x'] for eos_token_id, which is not a token id"),
    ],
)
def test_a_setting_of_another_type_is_a_fault_of_the_file(
    copy: Path, values: dict[str, Any], message: str
) -> None:
    configure(copy, **values)
    failure = refusal(lambda: load(copy))
    assert failure.error_class == "bad_config"
    assert message in failure.message
    assert "generation_config.json" in (failure.hint or "")


def test_only_values_that_ask_for_something_are_named() -> None:
    own = {"num_beams": 1, "output_scores": False, "penalty_alpha": None, "length_penalty": 1.0}
    assert requested_keys(own, SET_ASIDE) == []
    assert requested_keys(own | {"num_beams": 2}, SET_ASIDE) == ["num_beams"]


def test_an_engine_names_what_it_has_no_part_for() -> None:
    own = {"num_beams": 2, "no_repeat_ngram_size": 3, "min_p": 0.1, "top_k": 4}
    assert unused_notes(own, {"top_k"}, sampled=False) == [
        "generation_config.json: set aside, since a run is one greedy or sampled answer: num_beams",
        "generation_config.json: not used by this engine: no_repeat_ngram_size",
    ]
    assert unused_notes(own, {"top_k"}, sampled=True)[1].endswith(": no_repeat_ngram_size, min_p")


def test_stop_strings_are_found_across_pieces() -> None:
    stops = StopStrings(["END", "}"])
    assert [stops.found_in(piece) for piece in ("a", "bE", "", "N", "D!")] == [False] * 4 + [True]
    assert StopStrings(["}"]).found_in('"x"}')
    assert not StopStrings([]).found_in("text")


def test_stop_strings_of_any_form() -> None:
    assert stop_strings("a") == ["a"]
    assert stop_strings(["a", "", 3]) == ["a"]
    assert stop_strings(None) == stop_strings({}) == stop_strings("") == []
