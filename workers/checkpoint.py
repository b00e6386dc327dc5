"""A local model folder's facts and faults, read without any model library.

Everything that can be wrong with files is found here, before gigabytes are read, so that a
broken download has a name and a hint instead of a traceback from a library's depths. What the
weights are called inside (missing or odd keys) is the engines' to check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import ErrorClass
from schemas.shared import model_folder

from . import generation_config, safetensors_file
from .checkpoint_file import check_link, is_pointer, pointer_failure, read_object, refetch_hint
from .error_classes import WorkerFailure
from .lora_adapter import refuse_adapter_in

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
MLX = "mlx"  # the format of weights
OTHER_JSON: dict[str, ErrorClass] = {
    "generation_config.json": "bad_config",
    "tokenizer_config.json": "bad_tokenizer",
    "special_tokens_map.json": "bad_tokenizer",
    "added_tokens.json": "bad_tokenizer",
    "preprocessor_config.json": "bad_processor",
    "processor_config.json": "bad_processor",
    "video_preprocessor_config.json": "bad_processor",
    "chat_template.json": "bad_template",
}
# Files that can hold a vocabulary; without any of these a library makes an empty one.
VOCABULARIES = ("*.model", "*.tiktoken", "*.vocab", "*.spm", "vocab*", "tokenizer.json", "tekken*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A sound local folder in the hub's layout.

    `weights` and `files` map names to bytes on disk; `source` is the hub id it came from.
    `types` maps each safetensors file to its bytes by type of number.
    """

    folder: Path
    config: dict[str, Any]
    commit: str | None = None
    source: str | None = None
    weights: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    types: dict[str, dict[str, int]] = field(default_factory=dict)
    weights_format: str | None = None

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
    check_links(folder)
    for name, error_class in OTHER_JSON.items():
        if (folder / name).exists():
            read_object(folder / name, error_class)
    read_generation_config(folder)
    if is_pointer(folder / "tokenizer.json"):
        raise pointer_failure("bad_tokenizer", folder / "tokenizer.json")
    files = {path.name: path.stat().st_size for path in _regular(folder.iterdir())}
    weights = {path.name: files[path.name] for path in _weights(folder, allow_pickle)}
    headers = {name: header for name in weights if (header := _check_weights(folder / name))}
    formats = {header.metadata.get("format") for header in headers.values()}
    _check_texts(folder, config)
    return Checkpoint(
        folder=folder,
        config=config,
        commit=commit,
        source=source,
        weights=weights,
        files=dict(sorted(files.items())),
        types={name: header.types for name, header in headers.items()},
        weights_format=MLX if MLX in formats or is_mlx_quantised(config) else None,
    )


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` alone: enough to know the family.

    Raises not_found, bad_config, or unsupported for a LoRA adapter.
    """
    if folder.is_file():
        raise _not_a_checkpoint("bad_config", folder, model_folder.identify_file(folder))
    if not folder.is_dir():
        hint = f"Check whether {folder} is the path you mean."
        raise WorkerFailure("not_found", f"{folder} is not a folder", hint)
    refuse_adapter_in(folder)
    path = folder / "config.json"
    check_link(path, "bad_config")
    if not path.exists() and (known := model_folder.identify_folder(folder)):
        raise _not_a_checkpoint("bad_config", folder, known)
    if not path.is_file():
        hint = f"Give a model's folder as on the hub, or put its config.json into {folder}."
        raise WorkerFailure("bad_config", f"{folder} has no config.json", hint)
    config = read_object(path, "bad_config")
    _check_config(config, path)
    return config


def read_generation_config(folder: Path) -> dict[str, Any]:
    """The checkpoint's own generation settings; empty without any. Raises `bad_config`."""
    path = folder / generation_config.FILE
    settings = read_object(path, "bad_config") if path.exists() else {}
    if wrong := generation_config.find_wrong_type(settings):
        hint = f"Compare {path} with the published one."
        raise WorkerFailure("bad_config", f"{path.name} has {wrong}", hint)
    return settings


def check_links(folder: Path) -> None:
    """Raises `WorkerFailure` for a file other than weights that is a link to nothing."""
    kinds: dict[str, ErrorClass] = {**OTHER_JSON, **dict.fromkeys(INDEXES, "missing_shards")}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".jinja":
            check_link(path, "bad_template")
        elif path.name in kinds:
            check_link(path, kinds[path.name])
        elif any(path.match(pattern) for pattern in (*VOCABULARIES, "merges.txt")):
            check_link(path, "bad_tokenizer")


def _check_config(config: dict[str, Any], path: Path) -> None:
    """Raises `bad_config` where what everything else is chosen by is not as it has to be."""
    kinds = {"model_type": str, "architectures": list, "auto_map": dict}
    kinds |= {"text_config": dict, "vision_config": dict}
    for name, kind in kinds.items():
        value = config.get(name)
        if value is not None and not isinstance(value, kind):
            message = f"config.json has {value!r:.80} for {name}, which is no {kind.__name__}"
            raise WorkerFailure("bad_config", message, refetch_hint(path.parent))
    if not config.get("model_type") and not config.get("auto_map"):
        hint = f"Write the family's model_type into {path}, as its published config.json has it."
        raise WorkerFailure("bad_config", "config.json says no model_type", hint)


def _check_texts(folder: Path, config: dict[str, Any]) -> None:
    """Raises `WorkerFailure` if there is no vocabulary, or a template is not text.

    Code of the checkpoint's own may have them elsewhere.
    """
    found = any(path.is_file() for pattern in VOCABULARIES for path in folder.glob(pattern))
    if not found and not config.get("auto_map"):
        message = f"{folder} has no tokenizer.json, nor any other vocabulary"
        raise WorkerFailure("bad_tokenizer", message, refetch_hint(folder))
    path = folder / "chat_template.jinja"
    try:
        path.read_text(encoding="utf-8") if path.is_file() else None
    except ValueError as error:
        message = f"{path.name} is not text: {error}"
        raise WorkerFailure("bad_template", message, refetch_hint(folder)) from error


def _weights(folder: Path, allow_pickle: bool) -> list[Path]:
    tensors = sorted(_regular(folder.glob("*.safetensors")))
    pickles = [path for path in _regular(folder.iterdir()) if path.suffix in PICKLES]
    indexed = _files_in_index(folder)
    if not indexed and not tensors and pickles and not allow_pickle:
        raise WorkerFailure(
            "pickle_not_allowed",
            f"Only pickled weights are here ({pickles[0].name}); loading one runs its code",
            "Use a revision with safetensors, or set allow_pickle for this model if you trust "
            "its authors.",
        )
    chosen = indexed or tensors or sorted(pickles)
    missing = [path.name for path in chosen if not path.is_file()]
    if not chosen and (known := model_folder.identify_folder(folder)):
        raise _not_a_checkpoint("missing_shards", folder, known)
    if missing or not chosen:
        which = f"{len(missing)} of {len(chosen)} weight files: {', '.join(missing[:4])}"
        message = f"{folder} lacks {which if missing else 'all weight files'}"
        raise WorkerFailure("missing_shards", message, refetch_hint(folder))
    return chosen


def _files_in_index(folder: Path) -> list[Path]:
    """The files the index names, present or missing; empty if there is no index."""
    for index in INDEXES:  # also of those that will not be used: mlx-vlm reads another than we
        _check_index(folder, index)
    single = ("model.safetensors", "pytorch_model.bin")
    for index, whole in zip(INDEXES, single, strict=True):
        if (folder / whole).exists():  # the libraries look for it before the index
            return []
        if not (folder / index).exists():
            continue
        names = read_object(folder / index, "corrupt_weights").get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise WorkerFailure(
                "corrupt_weights", f"{index} has no weight_map", refetch_hint(folder)
            )
        return [folder / name for name in sorted(set(names.values()))]
    return []


def _check_index(folder: Path, index: str) -> None:
    """Raises `corrupt_weights` where an index names weights elsewhere than in its folder."""
    if not (folder / index).exists():
        return
    names = read_object(folder / index, "corrupt_weights").get("weight_map")
    shards = names.values() if isinstance(names, dict) else []
    outside = [str(n) for n in shards if n != Path(str(n)).name or n in ("", "..")]
    if outside:
        message = f"{index} names a file outside the folder: {outside[0]!r:.200}"
        raise WorkerFailure(
            "corrupt_weights", message, "Do not use this checkpoint: it reaches out."
        )


def _check_weights(path: Path) -> safetensors_file.Header | None:
    """The header of a complete safetensors file; None for a pickle."""
    if is_pointer(path):
        raise pointer_failure("pointer_only_weights", path)
    if path.suffix != ".safetensors":
        return None
    try:
        return safetensors_file.read_header(path)
    except ValueError as error:
        message = f"{path.name}: {error}"
        raise WorkerFailure("corrupt_weights", message, refetch_hint(path.parent)) from error


def is_mlx_quantised(config: Mapping[str, Any]) -> bool:
    """mlx-vlm writes `quantization`; transformers' own schemes say a `quant_method`."""
    scheme = config.get("quantization")
    return isinstance(scheme, dict) and "bits" in scheme and "quant_method" not in scheme


def _regular(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _not_a_checkpoint(
    error_class: ErrorClass, path: Path, known: model_folder.NotACheckpoint
) -> WorkerFailure:
    return WorkerFailure(error_class, f"{path} is {known.what}", known.hint)
