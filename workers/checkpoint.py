"""A local model folder's facts and faults, read without any model library.

Everything that can be wrong with files is found here, before gigabytes are read, so that a
broken download has a name and a hint instead of a traceback from a library's depths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A local folder in the hub's layout. `weights` maps file names to bytes on disk."""

    folder: Path
    config: dict[str, Any]
    commit: str | None = None
    source: str | None = None
    weights: dict[str, int] = field(default_factory=dict)
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
