"""Files named by a model must be inside its folder; symbolic links may lead elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import workers
from workers.checkpoint import read_checkpoint
from workers.error_classes import WorkerFailure

DEMO = Path(workers.__file__).with_name("demo_model")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound checkpoint, a secret file next to it, and a file in the working folder."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "notes.txt").write_text("notes")
    monkeypatch.chdir(tmp_path / "work")
    return Path(shutil.copytree(DEMO, tmp_path / "model"))


def put(folder: Path, name: str, *path: str, value: Any) -> None:
    """Sets a key of a JSON file, creating missing parts."""
    file = folder / name
    whole = json.loads(file.read_text()) if file.exists() else {}
    part = whole
    for key in path[:-1]:
        part = part.setdefault(key, {})
    part[path[-1]] = value
    file.write_text(json.dumps(whole))


NAMES = {
    "a vocabulary": ("tokenizer_config.json", "vocab_file"),
    "a tokenizer": ("tokenizer_config.json", "tokenizer_file"),
    "a manifest that mlx-vlm opens": ("config.json", "text_config", "ple_storage", "manifest"),
    "code that mlx-vlm runs": ("config.json", "model_file"),
    "a processor's part": ("processor_config.json", "audio_tokenizer", "x_name_or_path"),
}


@pytest.mark.parametrize("place", ["absolute", "above", "of the working folder"])
@pytest.mark.parametrize("name", NAMES)
def test_file_that_names_an_outside_file_is_refused(folder: Path, name: str, place: str) -> None:
    outside = {
        "absolute": str(folder.parent / "secret.txt"),
        "above": "../secret.txt",
        "of the working folder": "notes.txt",
    }
    put(folder, *NAMES[name], value=outside[place])
    with pytest.raises(WorkerFailure, match="names a file outside") as failure:
        read_checkpoint(folder)
    assert failure.value.error_class == "bad_config"
    assert NAMES[name][-1] in failure.value.message


def test_link_of_a_model_is_not_followed_upwards(folder: Path) -> None:
    (folder / "sub").symlink_to(folder.parent / "work")
    put(folder, "tokenizer_config.json", "vocab_file", value="sub/../secret.txt")
    with pytest.raises(WorkerFailure, match="names a file outside"):
        read_checkpoint(folder)


def test_index_is_checked_even_next_to_a_single_file(folder: Path) -> None:
    """For mlx-vlm goes by the index then, and transformers does not."""
    put(folder, "model.safetensors.index.json", "weight_map", "x", value="../x.safetensors")
    with pytest.raises(WorkerFailure, match="outside the folder") as failure:
        read_checkpoint(folder)
    assert failure.value.error_class == "corrupt_weights"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocab_file", "/home/its/author/vocab.json"),  # as many a published file has it
        ("vocab_file", "tokenizer.json"),
        ("vocab_file", "./sub/../tokenizer.json"),
        ("vocab_file", None),
        ("vocab_file", "a\0b"),
        ("vocab_file", "x" * 10_000),
        ("_name_or_path", "/tmp"),
        ("name_or_path", "/tmp"),
        ("chat_template", "/etc/passwd"),  # text for a model, which nobody opens
    ],
)
def test_harmless_paths_are_accepted(folder: Path, key: str, value: str | None) -> None:
    (folder / "sub").mkdir()
    put(folder, "tokenizer_config.json", key, value=value)
    assert read_checkpoint(folder).weights


def test_hub_cache_links_are_followed(folder: Path) -> None:
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(blobs / str(number))
        file.symlink_to(Path("..", "blobs", str(number)))
    put(folder, "tokenizer_config.json", "vocab_file", value="tokenizer.json")
    assert read_checkpoint(folder).weights["model.safetensors"] > 1_000_000


def test_circular_links_count_as_missing(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("tokenizer.json")
    with pytest.raises(WorkerFailure) as failure:
        read_checkpoint(folder)
    assert failure.value.error_class == "bad_tokenizer"
