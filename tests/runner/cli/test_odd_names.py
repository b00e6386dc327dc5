"""Names and files that nobody sane would give: from the sweep file to every table."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers import image_files as make
from tests.helpers.command_line import SCRIPTED, env
from tests.helpers.waiting import WAIT_S

EVIL = "\x1b]0;own\x07\x9b31m\u202egnp.exe"
GOOD = [
    b"new\nline",
    b"quo'te\"s\\",
    b"\xff\xfe raw",
    EVIL.encode(),
    b"--help",
    b"-",
    b" ",
    b"[red]x[bold] {0} %s $(id) `id`",
    b"=cmd|' !A0",
    b"'); DROP TABLE runs;--",
    b"<img src=x onerror=alert(1)>",
    "ünïcödé 日本 🦄".encode(),
    b"x" * 250,
]
MODELS = [f"good {EVIL}\n", "-m", "'; --", "m" * 250]
DRAWS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")  # what a table or the live view may send
UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def images(folder: Path) -> int:
    """The images folder; how many files there are in it that a sweep must speak of."""
    folder.mkdir()
    data = make.encoded(make.drawing(), "PNG")
    for name in GOOD:
        (folder / os.fsdecode(name + b".png")).write_bytes(data)
    (folder / "empty.png").touch()
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "zeros.png").symlink_to("/dev/zero")
    (folder / "lost.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket.png")
        os.close(here)
    (folder / "bomb.png").write_bytes(make.png_bomb(60_000, 60_000))
    Image.new("1", (20_000, 20_000)).save(folder / "large.png")
    Image.new("L", (1, 60_000)).save(folder / "tall.png")
    with (folder / "hole.png").open("wb") as file:
        file.truncate(1 << 40)
    deep = folder / os.fsdecode(b"fol\nder\x1b[2J\xff")
    deep.mkdir()
    (deep / "a.png").write_bytes(data)
    (deep / "round").symlink_to(folder)  # a circle
    return len(GOOD) + 10 + 1


BROKEN = {
    "empty": "0 bytes",
    "loop": "can't be opened",
    "zeros": "a device",
    "lost": "symbolic link",
    "pipe": "named pipe",
    "socket": "a socket",
    "bomb": "pixels",
    "large": "pixels",
    "hole": "1 GiB",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    for name in MODELS:
        (folder / "models" / name).mkdir(parents=True)
    sweep = {
        "name": EVIL,
        "models": [f"./models/{name}" for name in MODELS],
        "images": ["pics"],
        "prompts": [{"text": f"what {EVIL}\r\n\tis [b]this[/b]?", "name": f"ask {EVIL}"}],
        "image": {"max_side": 64},
    }
    (folder / "sweep.yaml").write_text(json.dumps(sweep))
    return folder


def on_terminal(here: Path, *arguments: str) -> tuple[int, str]:
    """Runs the command on a terminal of 100 columns; returns its status and unstyled output."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", SCRIPTED, *arguments]
    where = env(VLMSWEEP_DB=str(here / "h.db"), TERM="xterm-256color", COLUMNS="100", LINES="40")
    process = subprocess.Popen(command, cwd=here, env=where, stdout=slave, stderr=slave)
    os.close(slave)
    shown, until = b"", time.monotonic() + WAIT_S
    try:
        while time.monotonic() < until and (piece := read(master)):
            shown += piece
        status = process.wait(timeout=WAIT_S)
    finally:
        process.kill()
        os.close(master)
    return status, DRAWS.sub(b"", shown).decode()


def read(master: int) -> bytes:
    """Reads more output; empty when the terminal was closed."""
    try:
        return os.read(master, 65536)
    except OSError:
        return b""


def plainly(here: Path, *arguments: str) -> str:
    """Returns the piped output of a command."""
    command = [sys.executable, "-c", SCRIPTED, *arguments]
    where = env(VLMSWEEP_DB=str(here / "h.db"))
    done = subprocess.run(
        command, cwd=here, env=where, capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    return done.stdout


def tree(folder: Path) -> set[str]:
    """All paths below a folder except the database's own files."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] not in ("h.db", "h.db-wal", "h.db-shm", "h.db.files")
    }


@pytest.mark.slow
def test_unusual_names_work_end_to_end(here: Path) -> None:
    count = images(here / "pics")
    before = tree(here)
    status, planned = on_terminal(here, "plan", "sweep.yaml")
    assert status == 0, planned
    status, ran = on_terminal(here, "run", "sweep.yaml")
    assert status == 1, ran
    status, shown = on_terminal(here, "show")
    assert status == 0
    status, runs = on_terminal(here, "show", "--runs")
    assert status == 0
    for text in (planned, ran, shown, runs):
        assert not UNSAFE.search(text.replace("\r", "")), UNSAFE.findall(text)[:9]
    assert tree(here) - before <= {"h.db.lock"}

    query = "SELECT model, image, image_path, prompt, outcome, message FROM results"
    rows: list[dict[str, Any]] = json.loads(plainly(here, "sql", query, "--json"))
    assert len(rows) == count * len(MODELS)
    assert {row["model"] for row in rows} == {Path(name).name for name in MODELS}
    names = {
        os.fsencode(name).decode("utf-8", "backslashreplace") + ".png"
        for name in (os.fsdecode(raw) for raw in GOOD)
    }
    assert names < {row["image"] for row in rows}
    fine = {row["image"] for row in rows if row["outcome"] == "ok"}
    assert fine == names | {"a.png", "tall.png"}
    messages = {row["image"]: row["message"] for row in rows if row["outcome"] == "error"}
    assert set(messages) == {f"{name}.png" for name in BROKEN}
    for name, why in BROKEN.items():
        assert why in messages[f"{name}.png"], name

    cells = list(csv.DictReader(io.StringIO(plainly(here, "sql", query, "--csv"))))
    assert len(cells) == len(rows)
    assert "'=cmd|' !A0.png" in {cell["image"] for cell in cells}
    assert not [cell for row in cells for cell in row.values() if cell[:1] in ("=", "+", "-", "@")]
