"""A path that is not a checkpoint is named for what it is, when planning and when loading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import SweepFileError
from runner.planning import expand, family_info, sweepfile
from schemas.commands import Load
from workers import preflight
from workers.checkpoint import read_checkpoint, read_config
from workers.error_classes import WorkerFailure

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = '{"model_type": "smolvlm"}'


def put(folder: Path, **files: str) -> None:
    """Write files; `__` in a name is a folder, and `_dot_` a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def adapter(folder: Path) -> None:
    base = {"base_model_name_or_path": "org/base"}
    put(folder, adapter_config_dot_json=json.dumps(base), adapter_model_dot_safetensors="x")


def trainer(folder: Path) -> None:
    for step in (9, 50, 200):
        put(folder / f"checkpoint-{step}", config_dot_json=CONFIG, trainer_state_dot_json="{}")
    put(folder, trainer_state_dot_json="{}")


def gguf(folder: Path) -> None:
    put(folder, model_dot_gguf="GGUF", mmproj_dot_gguf="GGUF", README_dot_md="x")


def gguf_with_config(folder: Path) -> None:
    put(folder, model_dot_gguf="GGUF", config_dot_json=CONFIG)


def onnx(folder: Path) -> None:
    put(folder, onnx__model_dot_onnx="x", config_dot_json=CONFIG, tokenizer_dot_json="{}")


def diffusers(folder: Path) -> None:
    put(folder, model_index_dot_json="{}", unet__config_dot_json="{}")


def parent(folder: Path) -> None:
    put(folder / "inner", config_dot_json=CONFIG)


def original(folder: Path) -> None:
    put(folder, params_dot_json="{}", consolidated_dot_00_dot_pth="x")


def tensorflow(folder: Path) -> None:
    put(folder, tf_model_dot_h5="x", config_dot_json=CONFIG)


def snapshots(folder: Path) -> None:
    put(folder / COMMIT, config_dot_json=CONFIG)


def hub_cache(folder: Path) -> None:
    put(folder / "models--org--name" / "refs", main=COMMIT)


# The function that makes the folder; its name, and a part of the hint.
FOLDERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "empty": (lambda folder: None, "is an empty folder", "config.json"),
    "adapter": (adapter, "is an adapter (LoRA) without its base model", "base model org/base"),
    "trainer": (trainer, "a trainer's output folder with 3 checkpoints", "/checkpoint-200"),
    "gguf": (gguf, "is a folder of GGUF files", "llama-server"),
    "gguf with config": (gguf_with_config, "is a folder of GGUF files", "engine openai"),
    "onnx": (onnx, "is a model in ONNX form", "safetensors"),
    "diffusers": (diffusers, "is a diffusers pipeline", "Leave it out"),
    "parent": (parent, "is the folder above a model's", "/inner"),
    "original": (original, "in its authors' own form", "conversion for transformers"),
    "tensorflow": (tensorflow, "is a model for TensorFlow or Flax", "safetensors"),
    "snapshots": (snapshots, "is a folder of snapshots of the hub cache", COMMIT),
    "hub": (hub_cache, "is a hub cache", "org/name"),
}


@pytest.mark.parametrize(("make", "what", "hint"), FOLDERS.values(), ids=FOLDERS)
def test_folders_are_named_when_planning_and_when_loading(
    tmp_path: Path, make: Callable[[Path], object], what: str, hint: str
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    make(folder)
    with pytest.raises(WorkerFailure) as failure:
        read_checkpoint(folder)
    assert f"{folder} is " in failure.value.message
    assert what in failure.value.message
    assert hint in (failure.value.hint or "")
    planned = preflight.check_load(Load(model=str(folder), local=True))["problem"]
    assert planned["message"] == failure.value.message
    assert planned["hint"] == failure.value.hint
    assert planned["error_class"] == failure.value.error_class


def test_a_repository_of_the_hub_cache_is_named_with_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "models--org--name"
    put(folder / "snapshots" / COMMIT, config_dot_json=CONFIG)
    with pytest.raises(WorkerFailure) as failure:
        read_config(folder)
    assert failure.value.message == f"{folder} is a model's folder of the hub cache"
    assert failure.value.hint == (
        f"Name the model by its id, org/name, or give {folder}/snapshots/{COMMIT}."
    )


FILES = {
    "m.gguf": ("GGUF", "is a GGUF file", "llama-server -m m.gguf"),
    "model.safetensors": ("x", "is a file of weights", "Give the folder of the original model"),
    "pytorch_model.bin": ("x", "is a file of weights", "Give the folder"),
    "model.onnx": ("x", "is an ONNX file", "Give the folder"),
    "model.tar.gz": ("x", "is an archive", "Unpack it"),
    "notes.txt": ("x", "is a file, not a model's folder", "Give the folder"),
    "big.safetensors": (
        "version https://git-lfs.github.com/spec/v1\n",
        "is a git-lfs pointer",
        "git lfs pull",
    ),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("prefix", ["./", "models/"])
def test_files_are_named_when_planning_and_when_loading(
    tmp_path: Path, name: str, prefix: str
) -> None:
    content, what, hint = FILES[name]
    path = tmp_path / prefix / name
    put(path.parent, **{name: content})
    data = {"models": [prefix + name], "prompts": [{"text": "p", "images": "none"}]}
    with pytest.raises(SweepFileError) as planned:
        expand.expand_sweep(sweepfile.validate(data, "test"), tmp_path, "test")
    message = str(planned.value)
    assert f"'{prefix}{name}' {what}" in message
    assert hint in message
    with pytest.raises(SweepFileError, match=name.replace(".", r"\.")):
        family_info.check_model(str(path))
    with pytest.raises(WorkerFailure) as failure:
        read_config(path)
    assert what in failure.value.message
    assert hint in (failure.value.hint or "")


def test_a_file_of_weights_leads_to_its_own_folder(tmp_path: Path) -> None:
    put(tmp_path, config_dot_json=CONFIG, model_dot_safetensors="x")
    with pytest.raises(WorkerFailure) as failure:
        read_config(tmp_path / "model.safetensors")
    assert failure.value.hint == f"Give the model's folder: {tmp_path}"


@pytest.mark.parametrize("name", ["README.md", "model.safetensors"])
def test_a_folder_that_resembles_nothing_known_lacks_its_config(tmp_path: Path, name: str) -> None:
    put(tmp_path, **{name: "x"})
    with pytest.raises(WorkerFailure) as failure:
        read_config(tmp_path)
    assert failure.value.message == f"{tmp_path} has no config.json"


def test_a_model_that_was_trained_further_is_still_a_model(tmp_path: Path) -> None:
    """Its folder has a config and weights, and the trainer's checkpoints."""
    trainer(tmp_path)
    put(tmp_path, config_dot_json=CONFIG)
    assert read_config(tmp_path)["model_type"] == "smolvlm"
