"""Checks whether the environment has all that a checkpoint needs, by files alone.

The preflight check reports it, and the worker refuses by it before a model library is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.commands import Load
from schemas.engines import engine_info
from schemas.shared.packages import MissingPackages

from .architecture import check_architecture
from .checkpoint import Checkpoint
from .code_imports import code_imports
from .engine import check_installed, is_installed, missing_engine
from .families import FamilyModule
from .library_files import check_library_files
from .library_source import image_processor_needs_torchvision, processor_needs_video
from .quantisation import LIBRARY, check_engine_reads, quantisation_method, quantiser_packages

PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
TIMM_TYPES = ("timm_wrapper", "timm_backbone", "gemma3n_vision")
TIMM_DEFAULT = ("fast_vlm", "gemma3n", "perception_lm")  # models whose encoder is one of timm's


def check_environment(checkpoint: Checkpoint, family: FamilyModule, engine: str, ask: Load) -> None:
    """Raises `WorkerFailure` if the engine cannot load the checkpoint in this environment."""
    check_loadable(checkpoint, family, engine, ask)
    check_installed(missing_for(checkpoint, family, engine, ask))


def check_loadable(checkpoint: Checkpoint, family: FamilyModule, engine: str, ask: Load) -> None:
    """Raises `WorkerFailure` if no package could make the engine load the checkpoint."""
    check_engine_reads(checkpoint, engine)
    check_library_files(checkpoint, engine)
    if engine not in family.HOOKS:  # hooks may load models that the library does not list
        check_architecture(checkpoint, engine, ask)


def missing_for(
    checkpoint: Checkpoint, family: FamilyModule, engine: str, ask: Load
) -> list[MissingPackages]:
    """All packages that are missing to load the checkpoint, by what needs them."""
    found = missing_engine(engine)
    listed = {name for need in found for name in need.packages}
    for needed_by, packages in needs(checkpoint, family, engine, ask):
        names = tuple(n for n in dict.fromkeys(packages) if n not in listed and not is_installed(n))
        listed.update(names)
        if names:
            found.append(MissingPackages(needed_by, names))
    return found


def needs(
    checkpoint: Checkpoint, family: FamilyModule, engine: str, ask: Load
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The import names that a checkpoint needs besides the engine's, by what needs them."""
    extra = tuple(name.replace("-", "_") for name in family.FAMILY.extra_packages)
    yield f"the {family.FAMILY.name} family needs", extra
    method = quantisation_method(checkpoint.config)
    yield f"weights quantised by {method} need", quantiser_packages(checkpoint.config, engine)
    if LIBRARY not in engine_info(engine).libraries:
        if ask.trust_remote_code and (model_file := checkpoint.config.get("model_file")):
            yield "its code needs", code_imports(checkpoint.folder, str(model_file))
        return
    if uses_timm(checkpoint.config):
        yield "its image encoder needs", ("timm",)
    if ask.trust_remote_code:
        yield "its code needs", code_imports(checkpoint.folder)
    if engine not in family.HOOKS and not checkpoint.auto_map:
        yield "its processor needs", processor_packages(checkpoint)


def uses_timm(config: Mapping[str, Any]) -> bool:
    """Whether the model or a part of it is one of timm's."""
    parts = [config, *(value for value in config.values() if isinstance(value, dict))]
    return config.get("model_type") in TIMM_DEFAULT or any(
        part.get("model_type") in TIMM_TYPES or part.get("use_timm_backbone") is True
        for part in parts
    )


def processor_packages(checkpoint: Checkpoint) -> tuple[str, ...]:
    """`torchvision`, if the processor cannot be made without it."""
    model_type = str(checkpoint.model_type or "")
    processor = read_setting(checkpoint.folder, "processor_class")
    image_processor = read_setting(checkpoint.folder, "image_processor_type")
    needed = processor_needs_video(model_type, processor) or image_processor_needs_torchvision(
        model_type, image_processor
    )
    return ("torchvision",) if needed else ()


def read_setting(folder: Path, name: str) -> str | None:
    """A text that one of the processor's files gives, None if none does."""
    for file in PROCESSOR_FILES:
        try:
            whole = json.loads((folder / file).read_bytes())
            parts = (whole, whole.get("image_processor") or {})
            found = next((part[name] for part in parts if isinstance(part.get(name), str)), None)
        except (OSError, ValueError, AttributeError):
            continue
        if found is not None:
            return str(found)
    return None
