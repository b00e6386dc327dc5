"""Scripted workers in real processes, and the result of a sweep on them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.database.store import Store
from runner.process.launcher import ShimHandle, ShimLauncher, WorkerSpec
from schemas import stream
from schemas.image import PreparedImage

FAKE = Path(__file__).with_name("fake_worker.py")


class FakeLauncher(ShimLauncher):
    """Real shims, real processes, scripted workers."""

    def start(self, spec: WorkerSpec) -> ShimHandle:
        return super().start(dataclasses.replace(spec, argv=(sys.executable, str(FAKE))))


@dataclasses.dataclass
class Outcome:
    """A finished sweep: its state, rows and emitted events."""

    state: str
    rows: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    emitted: list[stream.StreamEvent]
    store: Store

    def by_prompt(self) -> dict[str, dict[str, Any]]:
        return {row["prompt"]: row for row in self.rows}


def image(path: Path) -> PreparedImage:
    """An image as if it had been prepared; a broken one could not, a scratched one has notes."""
    if "broken" in path.name:
        return PreparedImage(path=path, error_class="bad_image", message="is broken")
    notes = ("damaged and left out: EXIF data",) if "scratched" in path.name else ()
    return PreparedImage(path=path, prepared_path=path, prepared_sha256=path.name, notes=notes)


Sweeper = Callable[..., Outcome]
