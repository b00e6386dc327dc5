"""Runs every command of the README's history section and compares the output.

One model answers once, in the demo; a colleague's database is the same sweep from another
machine: with another library, slower by half, and with two other answers. Commands run on a
terminal of 100 columns. Figures that change from run to run (times, sizes, rates, dates, ids) are
compared by their kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.database.store import canonical_json
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(os.name != "posix", reason="needs a terminal"),
]

README = (ROOT / "README.md").read_text()
HISTORY = README[
    README.index("## Query the results") : README.index("## What happens when a model")
]
COLUMNS = 100
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
# Values that differ between runs, and their placeholders.
VOLATILE = (
    (re.compile(r"\b\d{8}T\d{6}-[0-9a-f]{8}\b"), "<uid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?Z?)?)?"), "<date>"),
    (re.compile(r"(/[\w.+-]+)+\.db\b"), "<database>"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b|\b\d+ min \d+ s\b"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)? (B|kB|MB|GB)\b"), "<size>"),
    (re.compile(r"\b\d+\.\d+(\.\d+)+([+.]\w+)?\b"), "<version>"),
    (re.compile(r"-?\b\d+\.\d+(e-?\d+)?\b|\b\d{3,}\b"), "<number>"),
)


@dataclass(frozen=True)
class Step:
    """A command of the README, and the lines shown below it."""

    command: str
    shown: list[str]


def steps() -> list[Step]:
    """Every command in the history section, in order."""
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", HISTORY, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], []))
            else:
                found[-1].shown.append(line)
    return found


@dataclass
class Walk:
    """A folder with a history, and the exit code and output of each command run there."""

    folder: Path
    output: dict[str, tuple[int, str]]

    def go(self, command: str) -> tuple[int, str]:
        """Pastes a command into a terminal; returns its exit code and the terminal's output."""
        return on_a_terminal(["bash", "-c", command], self.folder)


def on_a_terminal(command: list[str], folder: Path) -> tuple[int, str]:
    """Returns exit code and output; sends Ctrl-C once the output mentions it."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    ran = subprocess.Popen(
        command,
        cwd=folder,
        env=env(folder),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    seen, pressed = b"", False
    with suppress(OSError):  # Linux, when the last writer is gone
        while chunk := os.read(leader, 65536):
            seen += chunk
            if b"Ctrl-C ends it" in seen and not pressed:
                pressed = bool(os.write(leader, b"\x03"))
    code = ran.wait(WAIT_S)
    os.close(leader)
    return code, CONTROL.sub("", seen.decode()).replace("^C", "")


def env(folder: Path) -> dict[str, str]:
    """This environment with `vlmsweep` in reach, a terminal without colours, and a database."""
    made = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": "1"}
    made |= {"VLMSWEEP_DB": str(folder / "history.db"), "HF_HUB_OFFLINE": "1"}
    made["PATH"] = f"{folder.parent}{os.pathsep}{made['PATH']}"
    left_out = ("COLUMNS", "LINES", "FORCE_COLOR", "DISPLAY", "WAYLAND_DISPLAY", "VLMSWEEP_QUERIES")
    return {key: value for key, value in made.items() if key not in left_out}


def prepare(folder: Path) -> None:
    """The demo's history, a colleague's bundle, and the answers that the README shows."""
    folder.mkdir()
    script = folder.parent / "vlmsweep"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m runner "$@"\n')
    script.chmod(0o755)
    run = {"cwd": folder, "env": env(folder), "check": True, "capture_output": True}
    subprocess.run(["vlmsweep", "demo"], **run)  # type: ignore[call-overload]
    theirs = str(folder.parent / "theirs.db")
    colleague(folder / "history.db", Path(theirs))
    export = ["vlmsweep", "export", "--bundle", "-o", "colleague.zip", "--db", theirs]
    subprocess.run(export, **run)  # type: ignore[call-overload]
    (answers,) = re.findall(r"```csv\n(.*?)```", HISTORY, re.DOTALL)
    (folder / "answers.csv").write_text(answers)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Every command, run in its order."""
    made = Walk(tmp_path_factory.mktemp("readme") / "walk", {})
    prepare(made.folder)
    for step in steps():
        made.output[step.command] = made.go(step.command)
    return made


def colleague(mine: Path, path: Path) -> None:
    """The same sweep as another machine might have it."""
    source, copy = sqlite3.connect(mine), sqlite3.connect(path)
    source.backup(copy)
    source.close()
    copy.execute("UPDATE sweeps SET uid = '20261120T220000-c011ea90'")
    copy.row_factory = sqlite3.Row
    row = copy.execute(
        "SELECT * FROM environments WHERE id = (SELECT environment_id FROM workers)"
    ).fetchone()
    facts = {key: row[key] for key in row.keys() if key not in ("id", "sha256")}  # noqa: SIM118
    facts["packages"] = json.dumps(
        json.loads(facts["packages"]) | {"transformers": "5.22.0"}, sort_keys=True
    )
    sha256 = hashlib.sha256(canonical_json(facts).encode()).hexdigest()
    copy.execute(
        "UPDATE environments SET packages = ?, sha256 = ? WHERE id = ?",
        [facts["packages"], sha256, row["id"]],
    )
    for was, output in (
        ("A red circle on", "A red ellipse on"),
        ("Two blue squares", "Two squares"),
    ):
        copy.execute(
            "UPDATE runs SET text = replace(text, ?1, ?2), raw_text = replace(raw_text, ?1, ?2)",
            [was, output],
        )
    copy.execute("UPDATE runs SET latency_s = latency_s * (1.4 + 0.01 * (id % 20))")
    copy.commit()
    copy.close()


def plain(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, name in VOLATILE:
        line = pattern.sub(name, line)
    return " ".join(re.sub(r"[─━]+", "─", line).split())


def held(shown: list[str], output: list[str]) -> None:
    """Checks that the documented lines were printed in order; a line of dots matches any lines."""
    at, skipping = 0, False
    for line in map(plain, shown):
        if line in ("...", "…"):
            skipping = True
            continue
        rest = output[at:] if skipping else output[at : at + 1]
        assert line in rest, f"{line!r} is not what was output: {output[at : at + 3]}"
        at += rest.index(line) + 1
        skipping = False
    assert skipping or at == len(output), f"more was output: {output[at:]}"


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.command)
def test_readme_output_matches_the_commands(walk: Walk, step: Step) -> None:
    code, output = walk.output[step.command]
    regression = step.command.startswith("vlmsweep diff")
    assert code in ((0, 1) if regression else (0,)), output
    assert "Traceback" not in output
    shown = [line for line in step.shown if line.strip()]
    if shown:
        held(shown, [plain(line) for line in output.splitlines() if line.strip()])


def test_readme_walkthrough_leaves_the_documented_state(walk: Walk) -> None:
    for step in steps():
        for name in re.findall(r"(?:-o|>) (\S+)", step.command):
            assert (walk.folder / name).stat().st_size > 100


def test_readme_shows_every_read_command() -> None:
    shown = {step.command.split()[1] for step in steps()}
    reading = {"show", "history", "search", "sql", "judge", "report", "browse"}
    reading |= {"export", "issue", "import", "diff"}
    assert reading <= shown
