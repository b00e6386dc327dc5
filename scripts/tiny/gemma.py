"""Shared by Gemma 3 and PaliGemma: the tokenizer's form, and embeddings that are the head too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .common import sentencepiece_bpe

FIRST = ["<pad>", "<eos>", "<bos>", "<unk>"]


def gemma_bpe(added: Sequence[str]) -> Any:
    """A tokenizer with "▁" for spaces and none before the text, and bytes for the unknown.

    Ids: <pad>, <eos>, <bos>, <unk>, `added`, 256 bytes, then trained pieces.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    model = json.loads(sentencepiece_bpe([]).to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)[3:]  # less llama's own three
    names = [*FIRST, *added, *pieces]
    tokenizer = Tokenizer(
        models.BPE(
            {name: number for number, name in enumerate(names)},
            [tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", 2)]
    )
    tokenizer.add_special_tokens([*FIRST, *added])
    return tokenizer


def silent_ids(tokenizer: Any, special: Sequence[str]) -> list[int]:
    """Special tokens and bytes, which a text of words does without."""
    vocabulary = tokenizer.get_vocab()
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    return [vocabulary[name] for name in [*special, *bytes_]]


def soften_embeddings(path: Path) -> None:
    """Shrink the embeddings: as they are the head too, each token would be followed by itself."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    (name,) = [name for name in weights if name.endswith("embed_tokens.weight")]
    weights[name] = weights[name] * 0.1
    save_file(weights, path, metadata={"format": "pt"})
