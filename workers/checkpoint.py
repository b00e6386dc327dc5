"""A local model folder's facts and faults, read without any model library.

Everything that can be wrong with files is found here, before gigabytes are read, so that a
broken download has a name and a hint instead of a traceback from a library's depths. What the
weights are called inside (missing or odd keys) is the engines' to check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import ErrorClass

from . import safetensors_file
from .failure import WorkerFailure

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
POINTER = b"version https://git-lfs"
LARGEST_JSON = 64 << 20
FETCH_AGAIN = "Fetch the files again: `hf download ID --force-download`, or `git lfs pull`."
OTHER_JSON: dict[str, ErrorClass] = {
    "generation_config.json": "bad_config",
    "tokenizer_config.json": "bad_tokenizer",
    "special_tokens_map.json": "bad_tokenizer",
    "preprocessor_config.json": "bad_processor",
    "processor_config.json": "bad_processor",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A sound local folder in the hub's layout.

    `weights` and `files` map names to bytes on disk; `source` is the hub id it came from.
    """

    folder: Path
    config: dict[str, Any]
    commit: str | None = None
    source: str | None = None
    weights: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    mlx_weights: bool = False

    @property
    def model_type(self) -> str | None:
        """The config's own word for what this is."""
        return self.config.get("model_type")

    @property
    def architectures(self) -> tuple[str, ...]:
        """Class names the config gives."""
        return tuple(self.config.get("architectures") or ())

    @property
    def auto_map(self) -> dict[str, str]:
        """Auto class to "module.Class" of the checkpoint's own code; empty without any."""
        return dict(self.config.get("auto_map") or {})


def read_checkpoint(
    folder: Path,
    *,
    allow_pickle: bool = False,
    commit: str | None = None,
    source: str | None = None,
) -> Checkpoint:
    """The folder's facts. Raises `WorkerFailure` with the class of the first fault found."""
    config = read_config(folder)
    for name, error_class in OTHER_JSON.items():
        if (folder / name).exists():
            _read_object(folder / name, error_class)
    if is_pointer(folder / "tokenizer.json"):
        raise _pointer("bad_tokenizer", "tokenizer.json")
    files = {path.name: path.stat().st_size for path in _regular(folder.iterdir())}
    weights = {path.name: files[path.name] for path in _weights(folder, allow_pickle)}
    formats = {_check_weights(folder / name).get("format") for name in weights}
    return Checkpoint(
        folder=folder,
        config=config,
        commit=commit,
        source=source,
        weights=weights,
        files=dict(sorted(files.items())),
        mlx_weights="mlx" in formats or _mlx_quantised(config),
    )


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` alone: enough to know the family. Raises not_found or bad_config."""
    if not folder.is_dir():
        raise WorkerFailure("not_found", f"{folder} is not a folder", "Check the path.")
    path = folder / "config.json"
    if not path.is_file():
        hint = "A model folder needs a config.json, as on the hub."
        raise WorkerFailure("bad_config", f"{folder} has no config.json", hint)
    return _read_object(path, "bad_config")


def is_pointer(path: Path) -> bool:
    """Whether this is what git leaves in place of a large file when git-lfs did not run."""
    if not path.is_file() or path.stat().st_size > 1024:
        return False
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def _read_object(path: Path, error_class: ErrorClass) -> dict[str, Any]:
    if is_pointer(path):
        raise _pointer(error_class, path.name)
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_JSON:
            raise ValueError("not a file of a sensible size")
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path.name} can't be read: {error}"
        raise WorkerFailure(error_class, message, FETCH_AGAIN) from error
    return value


def _weights(folder: Path, allow_pickle: bool) -> list[Path]:
    tensors = sorted(_regular(folder.glob("*.safetensors")))
    pickles = [path for path in _regular(folder.iterdir()) if path.suffix in PICKLES]
    indexed = _indexed(folder)
    if not indexed and not tensors and pickles and not allow_pickle:
        raise WorkerFailure(
            "pickle_not_allowed",
            f"Only pickled weights are here ({pickles[0].name}); loading one runs its code",
            "Use a revision with safetensors, or set allow_pickle if you trust its authors.",
        )
    chosen = indexed or tensors or sorted(pickles)
    missing = [path.name for path in chosen if not path.is_file()]
    if missing or not chosen:
        what = f"{len(missing)} of {len(chosen)} weight files" if missing else "All weight files"
        raise WorkerFailure(
            "missing_shards", f"{what} are missing: {', '.join(missing[:4])}", FETCH_AGAIN
        )
    return chosen


def _indexed(folder: Path) -> list[Path]:
    """The files the index names, there or not; empty where one file holds all."""
    single = ("model.safetensors", "pytorch_model.bin")
    for index, whole in zip(INDEXES, single, strict=True):
        if (folder / whole).exists():  # the libraries look for it before the index
            return []
        if not (folder / index).exists():
            continue
        names = _read_object(folder / index, "corrupt_weights").get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise WorkerFailure("corrupt_weights", f"{index} has no weight_map", FETCH_AGAIN)
        shards = sorted(set(names.values()))
        outside = [name for name in shards if name != Path(name).name or name in ("", "..")]
        if outside:
            message = f"{index} names a file outside the folder: {outside[0]!r}"
            raise WorkerFailure("corrupt_weights", message, "Do not use this checkpoint.")
        return [folder / name for name in shards]
    return []


def _check_weights(path: Path) -> dict[str, str]:
    """The file's own metadata, once it is known to be whole."""
    if is_pointer(path):
        raise _pointer("pointer_only_weights", path.name)
    if path.suffix != ".safetensors":
        return {}
    try:
        return safetensors_file.read_metadata(path)
    except ValueError as error:
        raise WorkerFailure("corrupt_weights", f"{path.name}: {error}", FETCH_AGAIN) from error


def _mlx_quantised(config: dict[str, Any]) -> bool:
    """mlx-vlm writes `quantization`; transformers' own schemes say a `quant_method`."""
    scheme = config.get("quantization")
    return isinstance(scheme, dict) and "bits" in scheme and "quant_method" not in scheme


def _regular(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _pointer(error_class: ErrorClass, name: str) -> WorkerFailure:
    message = f"{name} is a git-lfs pointer, not the file itself"
    return WorkerFailure(error_class, message, "Run `git lfs pull` in the folder.")
