"""Runs the commands that the documents show, on a prepared history and with scripted workers.

A block's commands run in their order, in one folder, in this process. Commands that wait for Ctrl-C
run last, in a separate process: a reader would start them in another terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from runner.cli import cli
from runner.database.store import Store
from tests.docs import test_readme_history
from tests.helpers import histories
from tests.helpers.command_line import SCRIPTED, env
from tests.helpers.paths import ROOT
from tests.helpers.scripted_sweep import FakeLauncher
from tests.helpers.shown_commands import DOCUMENTS, Shown, commands, expand_home, split
from tests.helpers.waiting import WAIT_S, wait_until

# By document and beginning of the command: why it is not run here.
NOT_RUN = {
    ("README.md", "scripts/demo"): "creates an environment",
    ("README.md", ". .venv/bin/activate"): "changes the shell",
    ("README.md", "pip install"): "needs a package index",
    ("README.md", "vlmsweep models --check ID"): "a placeholder; imports the model library",
    ("README.md", "vlmsweep doctor"): "kills real workers; tests/runner/doctor runs it",
    ("README.md", "vlmsweep chaos"): "takes a minute; tests/runner/chaos runs it",
    ("docs/checking.md", "vlmsweep doctor"): "kills real workers; tests/runner/doctor runs it",
    ("docs/checking.md", "vlmsweep chaos"): "takes a minute; tests/runner/chaos runs it",
    ("docs/extending.md", "vlmsweep history longest"): "test_extending.py adds and runs the query",
    ("docs/history.md", "python scripts/make_history.py"): "takes minutes",
    ("docs/history.md", "python scripts/measure_history.py"): "takes minutes",
    ("docs/queue.md", "VLMSWEEP_LOG=sweep.log vlmsweep demo"): "loads the demo model",
    ("docs/queue.md", "cat sweep.log"): "prints the log of the demo",
    ("docs/queue.md", "export VLMSWEEP_NOTIFY"): "sends messages over a network",
    ("CONTRIBUTING.md", "scripts/test"): "runs this suite",
    ("CONTRIBUTING.md", ". .venv/bin/activate"): "changes the shell",
    ("CONTRIBUTING.md", "pre-commit install"): "changes the repository",
}
WAITING = ("vlmsweep start", "vlmsweep watch")  # until Ctrl-C, unless a sweep is named
ELSEWHERE = {step.command for step in test_readme_history.steps()}  # run there on the demo
REGRESSION = "vlmsweep diff"  # may exit with code 1


def excluded(shown: Shown) -> bool:
    if shown.document == "README.md" and shown.line in ELSEWHERE:
        return True
    return any(
        shown.document == document and shown.line.startswith(start) for document, start in NOT_RUN
    )


def waits(shown: Shown) -> bool:
    options = set(shown.words()[2:])
    return shown.line.startswith(WAITING) and not options & {"--once", "tonight", "--drain"}


BLOCKS = {
    f"{shown.document}-{shown.block}": (shown.document, shown.block)
    for document in DOCUMENTS
    for shown in commands(document)
    if not excluded(shown)
}
# A command that waits takes seconds, so it is run where it is shown first.
FIRST_SHOWN = {
    shown.line.partition("#")[0].strip(): (shown.document, shown.block)
    for document in reversed(DOCUMENTS)
    for shown in reversed(commands(document))
    if waits(shown)
}


def add_history(path: Path, folder: Path) -> None:
    """Twelve sweeps: two called `nightly`, of two library versions and weeks, then `tonight`."""
    store = Store(path)
    named = ["demo", "nightly", *(f"old-{number}" for number in range(8)), "nightly", "tonight"]
    for name in named:
        sweep = histories.add_sweep(store, folder, name, ["red bicycle"])
        histories.work(store, sweep, 1)
        histories.work(store, sweep)
    store.close()
    with sqlite3.connect(path) as db:
        row = db.execute("SELECT max(environment_id) FROM workers").fetchone()
        for sweep, version, day in ((2, "5.22.0", "2026-11-19"), (11, "5.23.0", "2026-11-26")):
            facts = db.execute("SELECT * FROM environments WHERE id = ?", row)
            names = [column[0] for column in facts.description]
            values = dict(zip(names, facts.fetchone(), strict=True))
            values |= {"id": None, "sha256": version}
            values["packages"] = json.dumps({"transformers": version})
            places = ", ".join("?" * len(names))
            insert = f"INSERT INTO environments VALUES ({places})"  # noqa: S608
            added = db.execute(insert, [*values.values()])
            db.execute(
                "UPDATE runs SET ended_at = ?"
                " WHERE worker_id IN (SELECT id FROM workers WHERE sweep_id = ?)",
                [f"{day}T23:00:00Z", sweep],
            )
            db.execute(
                "UPDATE workers SET environment_id = ? WHERE sweep_id = ?", [added.lastrowid, sweep]
            )
        db.execute("UPDATE workers SET stack = 'Thread 0x1' WHERE number = 3")
    db.close()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documents name, and a history."""
    folder = tmp_path_factory.mktemp("prepared") / "folder"
    for name in ("photos", "one", "two", "my-local-model", "bin", "home"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(folder / "photos" / "circle.png")
    models = [{"id": "./my-local-model", "name": "mine"}, "./one", "./two"]
    sweep = {"models": models, "images": ["photos/"], "prompts": ["Describe this image."]}
    for name in ("sweep", "other", "big"):
        (folder / f"{name}.yaml").write_text(json.dumps(sweep))
    mail = folder / "bin" / "mail"
    mail.write_text('#!/bin/sh\necho "$@" >> sent.txt\n')
    mail.chmod(0o755)
    add_history(folder / "history.db", folder)
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the prepared folder, as the working folder of a user of its own."""
    folder = tmp_path / "folder"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    for name in ("VLMSWEEP_QUERIES", "VLMSWEEP_NOTIFY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VLMSWEEP_DB", str(folder / "history.db"))
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("runner.supervisor.supervisor.ShimLauncher", FakeLauncher)
    return folder


def run_command(shown: Shown, home: Path) -> None:
    """Runs a command in this process, and passes on its output."""
    if shown.line.startswith("mkdir -p "):
        expand_home(shown.words()[-1], home).mkdir(parents=True, exist_ok=True)
        return
    parts = split(shown)
    done = CliRunner().invoke(cli, list(parts.arguments))
    allowed = (0, 1) if shown.line.startswith(REGRESSION) else (0,)
    assert done.exit_code in allowed, f"{shown.line}\n{done.output}\n{done.exception!r}"
    if parts.output:
        expand_home(parts.output, home).write_text(done.stdout)
        assert done.stdout.strip(), shown.line
    if parts.reader:
        assert parts.reader == ("jq", "."), shown.line
        assert [json.loads(line) for line in done.stdout.splitlines()], shown.line
    if "-o" in parts.arguments:
        name = parts.arguments[parts.arguments.index("-o") + 1]
        assert name == "-" or Path(name).stat().st_size, shown.line


def settled(database: Path) -> bool:
    """Returns whether no sweep of the queue could run now."""
    with sqlite3.connect(database) as db:
        waiting = "SELECT 1 FROM sweeps WHERE in_queue AND state <> 'done' AND not_before IS NULL"
        left = db.execute(waiting).fetchone()
    db.close()
    return left is None


def restore_interrupt() -> None:
    """Ctrl-C acts, also where this suite itself runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_until_it_waits(shown: Shown, folder: Path) -> None:
    """Runs a command that ends with Ctrl-C, which is sent when it has nothing left to do."""
    command = [sys.executable, "-P", "-c", SCRIPTED, *split(shown).arguments]
    output = folder / "output.txt"
    with output.open("w") as file:
        child = subprocess.Popen(
            command, env=env(), stdout=file, stderr=file, preexec_fn=restore_interrupt
        )
    database = folder / "history.db"
    starts = shown.line.startswith("vlmsweep start")
    ready = Path(f"{database}.sock").exists if starts else lambda: bool(output.read_text())
    try:
        wait_until(lambda: child.poll() is not None or (ready() and settled(database)))
        child.send_signal(signal.SIGINT)
        code = child.wait(WAIT_S)
    finally:
        child.kill()
        child.wait()
    text = output.read_text()
    assert code in (0, 130), f"{shown.line}: {code}\n{text}"
    assert "Traceback" not in text


@pytest.mark.parametrize("block", BLOCKS)
def test_shown_commands_run(here: Path, block: str) -> None:
    document, number = BLOCKS[block]
    chosen = [
        shown for shown in commands(document) if shown.block == number and not excluded(shown)
    ]
    for shown in sorted(chosen, key=waits):
        if waits(shown):
            if FIRST_SHOWN[shown.line.partition("#")[0].strip()] == BLOCKS[block]:
                run_until_it_waits(shown, here)
        else:
            run_command(shown, here / "home")
    if any("--notify-command" in shown.line for shown in chosen):
        sent = (here / "sent.txt").read_text()
        assert "me@example.com" in sent


@pytest.mark.parametrize(("document", "start"), NOT_RUN)
def test_commands_that_are_not_run_are_still_shown(document: str, start: str) -> None:
    assert [shown for shown in commands(document) if shown.line.startswith(start)]


def test_every_line_with_a_prompt_is_found() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        prompts = [line for line in text.splitlines() if line.startswith("$ ")]
        assert len(prompts) <= len(commands(document)), document
