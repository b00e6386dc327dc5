"""The output format that a file's name asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import VlmsweepError
from .sanitize import display_path


def format_from_name(path: Path | None, formats: Mapping[str, str], default: str) -> str:
    """The format of a suffix; `default` without a file, for `-`, and for a name without a suffix.

    Raises VlmsweepError for the suffix of an unsupported format.
    """
    suffix = path.suffix.lower() if path else ""
    if not suffix:
        return default
    if suffix not in formats:
        written = ", ".join(formats)
        raise VlmsweepError(
            f"cannot write {display_path(path or '')}: {suffix} files are not written",
            hint=f"name it {written}, or say the format with --format",
        )
    return formats[suffix]
