"""Names a path that is not a checkpoint for what it is, with the next step.

Planning, the checks before a run and the workers share it. Only names of files are read, and
the first bytes of a single file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CACHED_MODEL = re.compile(r"^models--(.+)$")  # a repository's folder in the hub's cache
COMMIT = re.compile(r"^[0-9a-f]{40}$")
TRAINED = re.compile(r"^checkpoint-(\d+)$")
LFS_POINTER = b"version https://git-lfs"
SERVE_GGUF = (
    "Serve it (`llama-server -m FILE.gguf --mmproj MMPROJ.gguf`) and use engine openai with its "
    "url, or give the folder of the original safetensors weights."
)
ORIGINAL = "Give the folder of the original model: config.json, safetensors weights, tokenizer."
FILE_KINDS = {
    ".gguf": "a GGUF file",
    ".onnx": "an ONNX file",
    ".safetensors": "a file of weights",
    ".bin": "a file of weights",
    ".pt": "a file of weights",
    ".pth": "a file of weights",
    ".ckpt": "a file of weights",
    ".zip": "an archive",
    ".tar": "an archive",
    ".gz": "an archive",
    ".tgz": "an archive",
}


@dataclass(frozen=True, slots=True)
class NotACheckpoint:
    """`what` completes "PATH is ..."; `hint` is a sentence that names the next step."""

    what: str
    hint: str


def identify_file(path: Path) -> NotACheckpoint:
    """Name a single file that was given in place of a model's folder."""
    folder = path.parent
    whole = f"Give the model's folder: {folder}" if _is_checkpoint(folder) else ORIGINAL
    if _is_pointer(path):
        return NotACheckpoint("a git-lfs pointer", f"Run `git lfs pull` in {folder}. {whole}")
    suffix = path.suffix.lower()
    what = FILE_KINDS.get(suffix, "a file")
    if suffix == ".gguf":
        return NotACheckpoint(what, SERVE_GGUF.replace("FILE.gguf", path.name))
    if what == "an archive":
        return NotACheckpoint(what, "Unpack it and give the folder with config.json.")
    return NotACheckpoint(f"{what}, not a model's folder", whole)


def identify_folder(folder: Path) -> NotACheckpoint | None:
    """Name a folder that has no config.json or no weights; None if it resembles nothing known."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return None
    if not entries:
        return NotACheckpoint("an empty folder", ORIGINAL)
    kinds = (_cache_part(folder, entries), _other_format(entries), _parent_of_one(entries))
    return next((kind for kind in kinds if kind is not None), None)


def _cache_part(folder: Path, entries: list[Path]) -> NotACheckpoint | None:
    """The hub's cache, a repository's folder in it, or its folder of snapshots."""
    cached = CACHED_MODEL.match(folder.name)
    snapshots = folder / "snapshots"
    if cached and snapshots.is_dir():
        model = cached[1].replace("--", "/")
        there = [f" or give {path}" for path in _folders(snapshots) if _is_checkpoint(path)]
        hint = f"Name the model by its id, {model}{', ' if there else ''}{''.join(there[:1])}."
        return NotACheckpoint("a model's folder of the hub cache", hint.replace(",  or", ", or"))
    commits = [path for path in entries if COMMIT.match(path.name) and path.is_dir()]
    if commits and len(commits) == len(entries):
        what = "a folder of snapshots of the hub cache"
        return NotACheckpoint(what, f"Give one of its folders: {_listed(commits)}.")
    models = [match[1] for path in entries if (match := CACHED_MODEL.match(path.name))]
    if models:
        ids = ", ".join(name.replace("--", "/") for name in models[:3])
        return NotACheckpoint("a hub cache", f"Name one model by its id: {ids}.")
    return None


def _other_format(entries: list[Path]) -> NotACheckpoint | None:
    """A model in a form that no engine loads."""
    names = {path.name for path in entries}
    if "model_index.json" in names:
        return NotACheckpoint("a diffusers pipeline, which makes images", "Leave it out.")
    files = [path for path in entries if path.is_file()]
    if any(path.suffix == ".safetensors" for path in files):
        return None
    if any(path.suffix == ".gguf" for path in files):
        return NotACheckpoint("a folder of GGUF files", SERVE_GGUF)
    onnx = [path for place in entries if place.name == "onnx" for path in _files(place)]
    if any(path.suffix == ".onnx" for path in [*files, *onnx]):
        return NotACheckpoint("a model in ONNX form", ORIGINAL)
    if names & {"tf_model.h5", "flax_model.msgpack", "saved_model.pb"}:
        return NotACheckpoint("a model for TensorFlow or Flax", ORIGINAL)
    if "params.json" in names or any(name.startswith("consolidated.") for name in names):
        hint = "Give its conversion for transformers, with config.json and safetensors weights."
        return NotACheckpoint("a model in its authors' own form", hint)
    return None


def _parent_of_one(entries: list[Path]) -> NotACheckpoint | None:
    """A folder whose subfolders are checkpoints: a trainer's output, or one level too high."""
    folders = [path for path in entries if path.is_dir()]
    trained = [path for path in folders if TRAINED.match(path.name)]
    if trained:
        last = max(trained, key=lambda path: int(path.name.partition("-")[2]))
        what = f"a trainer's output folder with {len(trained)} checkpoints"
        what = what.removesuffix("s") if len(trained) == 1 else what
        return NotACheckpoint(what, f"Give the folder of one of them, such as {last}.")
    inner = [path for path in folders if _is_checkpoint(path)]
    if inner:
        return NotACheckpoint("the folder above a model's", f"Give {_listed(inner)}.")
    return None


def _is_checkpoint(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.iterdir() if path.is_file())
    except OSError:
        return


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _listed(paths: list[Path]) -> str:
    return " or ".join(str(path) for path in paths[:3])
