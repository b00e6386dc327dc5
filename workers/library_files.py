"""Checks the files that a model library reads first, before the library is imported."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.engines import engine_info

from .checkpoint import Checkpoint
from .checkpoint_file import LARGEST_JSON, refetch_hint
from .error_classes import WorkerFailure
from .quantisation import LIBRARY


def check_library_files(checkpoint: Checkpoint, engine: str) -> None:
    """Raises `bad_tokenizer` or `bad_processor` for a file that is broken or missing."""
    check_tokenizer(checkpoint.folder)
    if LIBRARY in engine_info(engine).libraries and not checkpoint.auto_map:
        check_image_processor(checkpoint.folder)


def check_tokenizer(folder: Path) -> None:
    """Raises `bad_tokenizer` for a tokenizer.json that has no model of a tokenizer."""
    path = folder / "tokenizer.json"
    if not path.is_file() or path.stat().st_size > LARGEST_JSON:
        return
    try:
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict) or not isinstance(value.get("model"), dict):
            raise ValueError("it has no tokenizer's model")
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path.name} can't be read: {error}"
        raise WorkerFailure("bad_tokenizer", message, refetch_hint(folder)) from error


def check_image_processor(folder: Path) -> None:
    """Raises `bad_processor` if no file has the settings of an image processor."""
    if (folder / "preprocessor_config.json").is_file():
        return
    try:
        whole = json.loads((folder / "processor_config.json").read_bytes())
        inside = isinstance(whole, dict) and "image_processor" in whole
    except (OSError, ValueError):
        inside = False
    if not inside:
        message = f"{folder} has no preprocessor_config.json"
        raise WorkerFailure("bad_processor", message, refetch_hint(folder))
