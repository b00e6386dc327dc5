"""Exported bundles and report programs give equal results on another machine."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

IMAGES = [str(ROOT / "images" / name) for name in ("sideways.jpg", "circle.png")]

pytestmark = pytest.mark.model


def run(folder: Path, *command: str) -> str:
    env = {**os.environ, "VLMSWEEP_DB": str(folder / "h.db")}
    if command[0] == "vlmsweep":
        command = (sys.executable, "-m", "runner", *command[1:])
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a history of the demo model on two images."""
    folder = tmp_path_factory.mktemp("taken")
    asked = ["-i", IMAGES[0], "-i", IMAGES[1], "-p", "Describe this image."]
    run(folder, "vlmsweep", "run", "-q", "-m", "demo", "--device", "cpu", *asked)
    return folder


def ask(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "h.db")) as database:
        return database.execute(query).fetchall()


SAID = """
SELECT prompt, prepared_sha256, dtype, raw_text FROM results JOIN job_images USING (job_id)
JOIN images ON images.id = image_id ORDER BY prompt, prepared_sha256
"""


def test_unpacked_bundle_reruns_with_equal_texts(history: Path) -> None:
    run(history, "vlmsweep", "export", "1", "--bundle", "-o", "x.zip")
    there = history / "there"
    with zipfile.ZipFile(history / "x.zip") as file:
        file.extractall(there)
    run(there, "vlmsweep", "run", "-q", "sweep.yaml")
    assert ask(there, SAID) == ask(history, SAID)
    assert len(ask(there, SAID)) == 2
    # And both meet in one history.
    run(history, "vlmsweep", "import", "there/h.db")
    assert ask(history, "SELECT count(*) FROM sweeps") == [(2,)]
    assert len(set(ask(history, SAID))) == 2


def test_report_program_reproduces_the_worker_text(history: Path) -> None:
    ((prepared, answer),) = ask(
        history,
        "SELECT prepared_path, raw_text FROM runs JOIN job_images USING (job_id)"
        " JOIN images ON images.id = image_id WHERE runs.id = 1",
    )
    report = run(history, "vlmsweep", "issue", "1")
    program = report.partition("```python\n")[2].partition("```")[0]
    (history / "image-1.png").write_bytes(Path(str(prepared)).read_bytes())
    assert str(answer).strip()
    assert run(history, sys.executable, "-c", program) == f"{answer}\n"
