"""Moondream2 of January 2025: a table of functions, caches and crops that are always float16."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from schemas.generation import Generation

pytestmark = pytest.mark.model
WORDS = ["<end>", "red", "blue", "?", "Q", "A"]
IMAGE = 9  # tokens of an image


def make_model(weights: Any, picks: list[int]) -> Any:
    """The published loop over a toy model: one linear layer, next tokens from a list."""
    import torch
    from torch import nn

    class Early(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vision = nn.ModuleDict({"patch_emb": nn.Linear(3, 3)})
            self.to(weights)
            self.tokenizer = SimpleNamespace(encode=lambda _: SimpleNamespace(ids=[3] * 5))
            templates = {"query": {"prefix": [4, 4, 4, 4], "suffix": [5, 5, 5, 5]}}
            self.config = SimpleNamespace(tokenizer=SimpleNamespace(templates=templates))
            self.ops = {
                "vision_encoder": lambda crops, vision: vision.patch_emb(crops),
                "prefill": lambda x, cache, pos: cache[pos : pos + len(x)].copy_(x) @ x.mT,
                "decode_one_token": lambda cache, pos: (cache[:pos] @ cache[:pos].mT, None),
            }

        def encode_image(self, image: Any) -> Any:
            crops = torch.ones(IMAGE, 3, dtype=torch.float16)
            cache = torch.zeros(64, 3, dtype=torch.float16)
            self.ops["prefill"](self.ops["vision_encoder"](crops, self.vision), cache, 1)
            return SimpleNamespace(pos=1 + IMAGE, kv_cache=cache)

        def _prefill_prompt(self, kv_cache: Any, prompt_tokens: Any, pos: int) -> Any:
            x = torch.ones(prompt_tokens.shape[-1], 3, dtype=weights)
            return self.ops["prefill"](x, kv_cache, pos), None, picks[0], pos + len(x)

        def query(self, image: Any, question: str, stream: bool, settings: Any) -> Any:
            frame = self.config.tokenizer.templates["query"]
            ids = frame["prefix"] + self.tokenizer.encode(question).ids + frame["suffix"]

            def words() -> Any:
                _, _, token, pos = self._prefill_prompt(
                    image.kv_cache, torch.tensor([ids]), image.pos
                )
                for made in range(1, settings["max_tokens"] + 1):
                    if token == 0:
                        return
                    yield WORDS[token]
                    self.ops["decode_one_token"](image.kv_cache, pos)
                    token, pos = picks[made], pos + 1

            return {"answer": words()}

    return Early()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("limit", "count", "ended"), [(8, 4, True), (2, 2, False)])
def test_early_revision_in_every_dtype(dtype: str, limit: int, count: int, ended: bool) -> None:
    import torch

    from workers.engines.transformers.streamer import TokenStreamer
    from workers.families.hooks.moondream2_query import QueryInterface

    counted: list[tuple[int, int | None]] = []
    meter: Any = SimpleNamespace(
        token=lambda *_, **__: None, set_token_counts=lambda *counts: counted.append(counts)
    )
    model = make_model(getattr(torch, dtype), [1, 2, 1, 0, 0, 0, 0, 0, 0])
    interface = QueryInterface(model, "cpu")
    ask = Generation(max_new_tokens=limit)
    assert interface.check(1, ask) == []
    decode = model.ops["decode_one_token"]
    for _ in range(2):
        streamer = TokenStreamer(lambda ids: "", meter, lambda text: True, lambda: None)
        interface.answer("image", "What is it?", ask, streamer)
        assert streamer.written == "".join(["red", "blue", "red"][:limit])
        assert (streamer.count, streamer.ended) == (count, ended)
        assert counted.pop() == (1 + IMAGE + 4 + 5 + 4, IMAGE)
    assert model.ops["decode_one_token"] is decode  # as it was
