"""Shared by all recipes: a small tokenizer, and files in the hub's layout.

Weights are random but fixed by the seed. The real family's special tokens, chat template and
file names are each recipe's own affair.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

CORPUS = (
    "Describe this image. What shape is this? What colour is the circle? How many squares are "
    "there? Where is the red triangle? A blue circle is to the left of two green squares on a "
    "white background. The picture shows a small yellow star above a black line. There are "
    "three red circles and one purple triangle. User: Assistant: Yes, no, none; left, right, "
    "above, below. 0 1 2 3 4 5 6 7 8 9. Ein Bild mit Häusern, été, 世界."
)
# Large against the usual 0.02, so that different images and prompts give different texts.
INITIALISER_RANGE = 0.15


def write_json(path: Path, value: Any) -> None:
    """Write `value` as the hub's files are: two spaces of indent, a line's end at the end."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def byte_level_bpe(special: Sequence[str], vocabulary: int = 512) -> Any:
    """A trained byte-level BPE `tokenizers.Tokenizer` whose special tokens come first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    return tokenizer


def sentencepiece_bpe(added: Sequence[str], vocabulary: int = 300) -> Any:
    """A BPE `tokenizers.Tokenizer` as llama's: "▁" for spaces, bytes for the unknown, <s> first.

    Ids: <unk>, <s>, </s>, 256 bytes, then `vocabulary` trained pieces, then `added`.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    trained = Tokenizer(models.BPE())
    spaces = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    trained.normalizer = normalizers.Sequence(spaces)
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False)
    trained.train_from_iterator(CORPUS.split(". "), trainer)
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    tokenizer = Tokenizer(
        models.BPE(
            {name: number for number, name in enumerate(names)},
            [tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(spaces)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", *added])
    return tokenizer


def save_tokenizer(folder: Path, tokenizer: Any, special: Sequence[str], **config: Any) -> None:
    """Write tokenizer.json and its companions; `config` goes to tokenizer_config.json."""
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(tokenizer.token_to_id(token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for token in special
    }
    write_json(folder / "tokenizer_config.json", {"added_tokens_decoder": added, **config})
    named = {key: config[key] for key in config if key.endswith("_token") and config[key]}
    if "additional_special_tokens" in config:
        named["additional_special_tokens"] = config["additional_special_tokens"]
    write_json(folder / "special_tokens_map.json", named)


def save_random_weights(
    folder: Path, *, seed: int, silent: Iterable[int], renamed: tuple[str, str] = ("", "")
) -> None:
    """Random weights for the config.json in `folder`, as model.safetensors.

    `silent` are token ids whose output rows are zero, so that greedy text is made of words and
    does not end by itself before 20 tokens. `renamed` is the start of some weights' names as the
    library saves them, and as the hub's files have them.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder)).float()
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head[list(silent)] = 0
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        # By the library's own saving, for it knows the names the hub's files use.
        model.save_pretrained(aside)
        saved = Path(aside) / "model.safetensors"
        rename_weights(saved, *renamed)
        saved.chmod(0o644)
        saved.replace(folder / "model.safetensors")


def rename_weights(path: Path, start: str, other: str) -> None:
    """Give the weights whose names begin with `start` names that begin with `other`."""
    from safetensors.torch import load_file, save_file

    if start != other:
        weights = load_file(path)
        names = {name: name.replace(start, other, 1) for name in weights if name.startswith(start)}
        weights = {names.get(name, name): weight for name, weight in weights.items()}
        save_file(weights, path, metadata={"format": "pt"})
