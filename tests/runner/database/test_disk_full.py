"""A full disk ends a sweep cleanly: emitted rows are stored, no process is left."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner import api
from runner.errors import EXIT_DATABASE, DatabaseError
from runner.planning import expand, sweepfile
from tests.helpers.scripted_sweep import FakeLauncher


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2.5 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_keeps_emitted_rows_and_allows_resume(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    prompts = [{"text": f"{n} {'x' * 200}", "images": "none"} for n in range(600)]
    data = {"models": ["./good"], "prompts": prompts}
    plan = expand.expand_sweep(sweepfile.validate(data, "test"), tmp_path, "test")
    emitted: list[Any] = []
    earlier = set(psutil.Process().children(recursive=True))  # of other tests
    with pytest.raises(DatabaseError, match="full") as caught:
        api.run(plan, small_disk / "h.db", emitted.append, FakeLauncher())
    assert caught.value.exit_code == EXIT_DATABASE
    assert "vlmsweep resume" in str(caught.value.hint)
    assert not set(psutil.Process().children(recursive=True)) - earlier
    database = sqlite3.connect(small_disk / "h.db")
    stored = dict(database.execute("SELECT id, outcome FROM runs WHERE outcome IS NOT NULL"))
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    finished = {event.run: event.outcome for event in emitted if event.event == "run_finished"}
    assert finished
    assert finished.items() <= stored.items()
