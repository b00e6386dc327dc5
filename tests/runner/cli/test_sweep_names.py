"""Sweeps without a name get that of their file, numbered if another sweep has it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.control.dispatch import execute
from runner.control.protocol import Request
from runner.database.open_store import open_store
from runner.planning.request import default_name
from tests.helpers.command_line import sweep_file
from tests.helpers.scripted_sweep import FakeLauncher

COLOURS = {"models": ["./good"], "prompts": [{"text": "a", "images": "none"}]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with model folders, sweep files, a separate database, scripted workers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLMSWEEP_DB", str(tmp_path / "history.db"))
    monkeypatch.setattr("runner.supervisor.supervisor.ShimLauncher", FakeLauncher)
    for name in ("good", "better"):
        (tmp_path / name).mkdir()
    for name in ("sweep", "other", "sweep-2"):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(COLOURS))
    return tmp_path


def vlmsweep(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == code, done.output
    return done


def names() -> list[str]:
    """Returns the names of all sweeps, the first one first."""
    found = json.loads(vlmsweep("sweeps", "--json").stdout)
    return [row["name"] for row in reversed(found)]


def test_queue_commands_of_the_readme_find_sweeps_by_their_files(here: Path) -> None:
    added = vlmsweep("queue", "add", "sweep.yaml").stdout
    assert added.startswith("queued as sweep 1, sweep (2")
    vlmsweep("queue", "add", "other.yaml", "--after", "sweep", "--priority", "1")
    vlmsweep("queue", "move", "other", "--first")
    assert vlmsweep("queue", "cancel", "sweep", "--model", "good").stdout.startswith("1 job")
    assert names() == ["sweep", "other"]


def test_taken_default_name_is_numbered_by_run_and_by_queue_add(here: Path) -> None:
    vlmsweep("run", "sweep.yaml", "-q")
    vlmsweep("queue", "add", "sweep.yaml")
    vlmsweep("run", "sweep.yaml", "-q", "--max-new-tokens", "5")
    vlmsweep("queue", "add", "sweep-2.yaml")
    assert names() == ["sweep", "sweep-2", "sweep-3", "sweep-2-2"]
    vlmsweep("resume", "sweep-2")
    assert names() == ["sweep", "sweep-2", "sweep-3", "sweep-2-2"]


def test_default_name_does_not_repeat_a_given_one(here: Path) -> None:
    given = sweep_file(here, ["a"], name="other")
    vlmsweep("run", given, "-q")
    vlmsweep("run", "other.yaml", "-q")
    assert names() == ["other", "other-2"]


def test_given_names_repeat(here: Path) -> None:
    given = sweep_file(here, ["a"], name="nightly")
    vlmsweep("run", given, "-q")
    vlmsweep("run", given, "-q")
    vlmsweep("queue", "add", given)
    assert names() == ["nightly"] * 3
    vlmsweep("diff", "nightly~2", "nightly~1")


def test_sweeps_of_options_alone_are_called_run(here: Path) -> None:
    arguments = ("-m", "./good", "-i", "a.png", "-p", "x", "-q")
    (here / "a.png").write_bytes(b"x")
    vlmsweep("run", *arguments, code=1)  # the image is broken
    vlmsweep("run", *arguments, code=1)
    vlmsweep("queue", "add", *arguments)
    assert names() == ["run", "run-2", "run-3"]


def test_name_of_a_file_is_never_taken_for_a_number_and_holds_any_bytes() -> None:
    assert default_name(Path("night/2.yaml")) == "sweep-2"
    assert default_name(Path("tuesday night.v2.toml")) == "tuesday night.v2"
    assert default_name(Path("a\udcff.yaml")) == "a\\xff"
    assert default_name(None) == "run"


def test_repeated_request_keeps_the_number(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vlmsweep("run", "sweep.yaml", "-q")
    requests: list[Request] = []

    def execute_twice(store: object, request: Request) -> object:
        requests.append(request)
        execute(store, request)  # type: ignore[arg-type]
        return execute(store, request)  # type: ignore[arg-type]

    monkeypatch.setattr("runner.control.client.execute", execute_twice)
    assert "sweep-2 (" in vlmsweep("queue", "add", "sweep.yaml").stdout
    assert len(requests) == 1
    assert names() == ["sweep", "sweep-2"]


def test_bundle_and_its_file_keep_the_name(here: Path) -> None:
    vlmsweep("run", "other.yaml", "-q")
    vlmsweep("export", "other", "--bundle", "-o", "other.zip")
    with zipfile.ZipFile("other.zip") as bundle:
        assert yaml.safe_load(bundle.read("sweep.yaml"))["name"] == "other"
    elsewhere = str(here / "elsewhere.db")
    vlmsweep("import", "other.zip", "--db", elsewhere)
    with open_store(Path(elsewhere), lambda event: None, 1.0) as store:
        assert store.connection.execute("SELECT name FROM sweeps").fetchall() == [("other",)]


def test_plan_shows_the_default_name(here: Path) -> None:
    assert json.loads(vlmsweep("plan", "other.yaml", "--json").stdout)["name"] == "other"
