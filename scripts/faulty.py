"""Sweeps of scripted workers that misbehave, for the scripts that measure and for the tests.

`python scripts/faulty.py DATABASE MARKER LIMITS PROMPT...` runs one such sweep in a separate
process, which can then be killed. It measures nothing itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from runner.database import sweep_writer  # noqa: E402
from runner.database.store import Store  # noqa: E402
from runner.planning import expand, sweepfile  # noqa: E402
from runner.process.launcher import ShimHandle, ShimLauncher, WorkerSpec  # noqa: E402
from runner.supervisor.supervisor import Supervisor  # noqa: E402
from runner.system import environment  # noqa: E402
from schemas import stream  # noqa: E402

FAKE = ROOT / "tests" / "helpers" / "fake_worker.py"
EventSink = Callable[[stream.StreamEvent], None]


class FaultyLauncher(ShimLauncher):
    """Real shims, real processes, scripted workers that bear a marker on their command line."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def start(self, spec: WorkerSpec) -> ShimHandle:
        argv = (sys.executable, str(FAKE), self.marker)
        return super().start(dataclasses.replace(spec, argv=argv))


def queue(
    store: Store, folder: Path, prompts: Sequence[str], limits: dict[str, Any], repeats: int = 1
) -> int:
    """Stores a sweep of one scripted model; returns its number."""
    (folder / "good").mkdir(exist_ok=True)
    data = {
        "models": ["./good"],
        "prompts": [{"text": text, "images": "none"} for text in prompts],
        "limits": limits,
        "repeats": repeats,
    }
    plan = expand.expand_sweep(sweepfile.validate(data, "faulty"), folder, "faulty")
    return sweep_writer.add_sweep(store, plan, [], environment.supervisor_environment())


def supervisor(store: Store, marker: str, emit: EventSink = lambda event: None) -> Supervisor:
    """A supervisor of such workers."""
    return Supervisor(store, emit, FaultyLauncher(marker))


def marked(marker: str) -> dict[int, str]:
    """Living processes whose command line holds the marker, but for this one."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and int(name) != os.getpid():
            try:
                words = Path("/proc", name, "cmdline").read_bytes()
                state = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in words and state != "Z":
                found[int(name)] = words.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return found


def main(arguments: list[str]) -> None:
    """One sweep, from its database's creation to its end."""
    path, marker, limits, *prompts = arguments
    store = Store(Path(path))
    number = queue(store, Path(path).parent, prompts, json.loads(limits))
    supervisor(store, marker).run_sweep(number)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1:])
