"""A supervisor that was killed: every reader reports it, and since when."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.database.liveness import GONE, has_supervisor
from runner.database.reader import Reader
from runner.view.sweep_state import local_time
from tests.helpers.command_line import SCRIPTED, env, sweep_file
from tests.helpers.waiting import WAIT_S

pytestmark = pytest.mark.slow


def vlmsweep(*words: str) -> Result:
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def listed(*words: str) -> list[dict[str, Any]]:
    return list(json.loads(vlmsweep(*words, "--json").stdout))


def states(*words: str) -> set[str]:
    return {row["state"] for row in listed(*words)}


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """`vlmsweep start` on a queue of two sweeps, killed during a run; the time before and after."""
    database = tmp_path / "history.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLMSWEEP_DB", str(database))
    for name in ("good", "better"):
        (tmp_path / name).mkdir()
    for name, prompts in (("night", ["a", "hang"]), ("later", ["b"])):
        sweep_file(tmp_path, prompts, name=name)
        assert vlmsweep("queue", "add", "sweep.yaml", "-q").exit_code == 0
    command = [sys.executable, "-c", SCRIPTED, "start", "-q"]
    child = subprocess.Popen(command, cwd=tmp_path, env=env(), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        while not hangs(database):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.05)
        assert has_supervisor(database)
        assert "running" in states("queue", "list")
        assert GONE not in states("sweeps")
        assert "gone" not in vlmsweep("show", "night").stderr
        before = stored_now()
    finally:
        child.kill()
        child.wait()
    return before, stored_now()


def hangs(database: Path) -> bool:
    with Reader(database) as reader:
        sql = "SELECT 1 FROM results WHERE prompt = 'hang' AND run_id AND outcome IS NULL"
        return bool(reader.records(sql))


def stored_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_every_reader_tells_that_the_supervisor_is_gone(killed: tuple[str, str]) -> None:
    (sweep,) = [row for row in listed("sweeps") if row["name"] == "night"]
    assert sweep["state"] == GONE
    since = sweep["gone_since"]
    assert sweep["started_at"] < since <= killed[1]
    words = f"supervisor gone since {local_time(since)}"
    assert words in " ".join(vlmsweep("sweeps").stdout.split())
    night, later = listed("queue", "list")
    assert (night["state"], night["gone_since"], night["ends_at"]) == (GONE, since, None)
    assert (later["state"], later["gone_since"]) == ("queued", None)
    assert words in vlmsweep("queue").stdout
    assert states("queue", "list", "night") == {GONE, "waiting"}
    assert states("queue", "list", "night", "--jobs") == {GONE, "queued"}
    gone = f"The supervisor of night is gone since {local_time(since)}"
    for output in (vlmsweep("show", "night").stderr, vlmsweep("watch", "--once").output):
        assert gone in " ".join(output.split())
        assert "vlmsweep start" in output
    assert vlmsweep("show", "later").stderr == ""
    assert vlmsweep("report", "night", "-o", "night.md").exit_code == 0
    assert gone in Path("night.md").read_text()


@pytest.mark.skipif(importlib.util.find_spec("datasette") is None, reason="needs datasette")
def test_a_page_of_the_browser_tells_it_too(killed: tuple[str, str]) -> None:
    from runner.web.plugin import render_cell

    class Served:
        """A stand-in for Datasette with one database."""

        path = str(Path("history.db").absolute())

        def get_database(self, name: str) -> Served:
            return self

    def cell(table: str | None) -> Any:
        return render_cell(None, "running", "state", table, "history", Served())

    assert cell("sweeps") == cell("jobs") == "supervisor gone"
    assert cell("workers") is None


def test_the_next_supervisor_continues_it(killed: tuple[str, str], tmp_path: Path) -> None:
    assert vlmsweep("queue", "pause", "night").exit_code == 0  # it puts the database right first
    assert states("queue", "list") == {"paused", "queued"}
    assert {row["gone_since"] for row in listed("sweeps")} == {None}
