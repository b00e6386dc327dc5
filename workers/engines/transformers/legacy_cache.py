"""For remote code of the time of transformers 4.36 to 4.43: the KV cache it was written for.

Its methods are gone since, or mean something else, and `generate()` hands over more than it
used to. The model gets a cache that still speaks the old words, so it runs with its cache; the
library's own classes stay as they are but for one name that only such code asks for.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from transformers import DynamicCache

WORDS = ("seen_tokens", "get_max_length", "get_usable_length", "to_legacy_cache")


class LegacyCache(DynamicCache):  # type: ignore[misc]
    """A `DynamicCache` with the methods it had in transformers 4.43."""

    @property
    def seen_tokens(self) -> int:
        """The number of tokens processed."""
        return int(self.get_seq_length())

    def get_max_length(self, layer_idx: int | None = None) -> Any:
        """None: no limit. Transformers 5 says -1 for that, which old code takes for a length."""
        return None

    def get_usable_length(self, new_seq_length: int, layer_idx: int | None = 0) -> int:
        """The number of earlier tokens a layer still holds: all, since there is no limit."""
        return int(self.get_seq_length(layer_idx or 0))

    def to_legacy_cache(self) -> Any:
        """Itself: what `generate()` carries from step to step must stay a cache."""
        return self

    @classmethod
    def from_legacy_cache(cls, past_key_values: Any = None) -> Any:
        """A new cache for the code to begin with (or to begin again with)."""
        cache = cls()
        for layer, (keys, values) in enumerate(past_key_values or ()):
            cache.update(keys, values, layer)
        return cache


def missing_methods() -> list[str]:
    """Old words that this transformers lacks, or uses otherwise."""
    plain = DynamicCache()
    gone = {word for word in (*WORDS, "from_legacy_cache") if not hasattr(plain, word)}
    try:
        if plain.get_max_length() is not None:
            gone.add("get_max_length")
    except (AttributeError, ValueError):  # there is none, or an empty cache can't tell
        gone.add("get_max_length")
    return sorted(gone)


def install() -> list[str]:
    """Replace the one old method that code calls on `DynamicCache` itself."""
    gone = missing_methods()
    if gone:  # also if it exists: the cache it returns must have the other old methods
        DynamicCache.from_legacy_cache = classmethod(
            lambda cls, past=None: LegacyCache.from_legacy_cache(past)
        )
    return gone


def patch_prepare_inputs(model: Any) -> None:
    """Hand the model's `prepare_inputs_for_generation` the arguments it had in transformers 4.43.

    An empty cache was none then, `position_ids` were of the new tokens alone, and there was
    always a mask: after a prompt of embeddings its length shows which ids are new. Without
    `cache_position` some code can't tell the first step.
    """
    original = model.prepare_inputs_for_generation
    wants_places = "cache_position" in inspect.signature(original).parameters

    @functools.wraps(original)
    def prepare(input_ids: Any, past_key_values: Any = None, **kwargs: Any) -> dict[str, Any]:
        cache = past_key_values
        seen = 0 if cache is None else int(cache.get_seq_length())
        if kwargs.get("attention_mask") is None and cache is not None:
            positions = kwargs.get("position_ids")
            whole = input_ids.shape[-1] if positions is None else positions.shape[-1]
            kwargs["attention_mask"] = input_ids.new_ones((input_ids.shape[0], whole)).long()
        mask = kwargs.get("attention_mask")
        if wants_places and kwargs.get("cache_position") is None and mask is not None:
            kwargs["cache_position"] = torch.arange(seen, mask.shape[-1], device=mask.device)
        inputs: dict[str, Any] = original(
            input_ids, past_key_values=cache if seen else None, **kwargs
        )
        if not seen and inputs.get("past_key_values") is None:
            inputs["past_key_values"] = cache
        _trim(inputs)
        return inputs

    model.prepare_inputs_for_generation = prepare


def _trim(inputs: dict[str, Any]) -> None:
    """Positions of the tokens that go in, and of no others."""
    positions = inputs.get("position_ids")
    tokens = inputs.get("input_ids")
    tokens = inputs.get("inputs_embeds") if tokens is None else tokens
    if positions is not None and tokens is not None:
        inputs["position_ids"] = positions[:, -tokens.shape[1] :]
