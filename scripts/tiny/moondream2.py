"""Tiny Moondream2 stand-ins: our own remote code in the published repositories' layout.

The newer one's tokenizer is in a second repository: it is laid out as the hub's cache would
hold it, in `hub`, next to the checkpoint (use it as HF_HUB_CACHE).
"""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

from workers.engines.transformers import legacy_config

from .common import byte_level_bpe, save_tokenizer, write_json

REMOTE = Path(__file__).parent / "remote"
SECOND = "moondream/starmie-v1"
SECOND_COMMIT = "5" * 40
SPREAD = 0.3  # so that answers hang on the image, and don't settle on one word
SPECIAL = ["<|endoftext|>", *(f"<|md_reserved_{n}|>" for n in range(4))]


def make_moondream2(folder: Path, seed: int) -> None:
    """The 2025 generation: HfMoondream, `query`."""
    tokenizer = byte_level_bpe(SPECIAL)
    make_second_repository(folder.parent / "hub", tokenizer)
    copy_code("moondream2", folder)
    config = {
        "architectures": ["HfMoondream"],
        "auto_map": {
            "AutoConfig": "hf_moondream.HfConfig",
            "AutoModelForCausalLM": "hf_moondream.HfMoondream",
        },
        "config": {},
        "model_type": "moondream1",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.44.0",
    }
    write_json(folder / "config.json", config)
    package = "tiny.remote.moondream2"
    code = importlib.import_module(f"{package}.moondream")
    with mock.patch.object(code, "Tokenizer"):  # its repository is in nobody's cache yet
        module = importlib.import_module(f"{package}.hf_moondream")
        model = module.HfMoondream(module.HfConfig(**config))
    save_weights(model, folder, seed, tokenizer=tokenizer)


def make_moondream1(folder: Path, seed: int) -> None:
    """The generation before: Moondream, `answer_question`, its tokenizer with it."""
    tokenizer = byte_level_bpe(SPECIAL[:1])
    save_tokenizer(
        folder,
        tokenizer,
        SPECIAL[:1],
        tokenizer_class="CodeGenTokenizer",
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[0],
        unk_token=SPECIAL[0],
        add_prefix_space=False,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.model.save(str(folder))
    copy_code("moondream1", folder)
    config = {
        "architectures": ["Moondream"],
        "auto_map": {
            "AutoConfig": "configuration_moondream.MoondreamConfig",
            "AutoModelForCausalLM": "moondream.Moondream",
        },
        "model_type": "moondream1",
        "text_config": {"model_type": "phi"},
        "torch_dtype": "float16",
        "transformers_version": "4.38.2",
    }
    write_json(folder / "config.json", config)
    package = "tiny.remote.moondream1"
    module = importlib.import_module(f"{package}.moondream")
    configuration = importlib.import_module(f"{package}.configuration_moondream")
    legacy_config.restore(configuration.PhiConfig)
    model = module.Moondream(configuration.MoondreamConfig(text_config={}))
    save_weights(model, folder, seed, tokenizer=tokenizer)


def make_second_repository(cache: Path, tokenizer: Any) -> None:
    """The tokenizer's repository as the hub's library caches it."""
    repository = cache / f"models--{SECOND.replace('/', '--')}"
    snapshot = repository / "snapshots" / SECOND_COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(SECOND_COMMIT, encoding="ascii")
    tokenizer.save(str(snapshot / "tokenizer.json"))


def copy_code(name: str, folder: Path) -> None:
    """Our stand-in code, as the files of a checkpoint."""
    for path in sorted((REMOTE / name).glob("*.py")):
        if path.name != "__init__.py":
            shutil.copyfile(path, folder / path.name)


def save_weights(model: Any, folder: Path, seed: int, *, tokenizer: Any) -> None:
    """Random weights by name and seed; only ids that are words can be answered."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    words = re.compile(r"\u0120?[A-Za-z]+")  # U+0120 is how byte-level BPE writes a space
    silent = [id for token, id in tokenizer.get_vocab().items() if not words.fullmatch(token)]
    state = {}
    for name, parameter in sorted(model.named_parameters()):
        value = torch.randn(parameter.shape, generator=generator) * SPREAD
        if name.rpartition(".")[0].endswith(("ln", "norm", "layernorm")):
            value += 1.0
        if name.endswith("lm_head.weight"):
            value[silent] = 0
            value[tokenizer.get_vocab_size() :] = 0
        state[name] = value.to(parameter.dtype).contiguous()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
