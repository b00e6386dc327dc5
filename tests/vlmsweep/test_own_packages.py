"""Foreign packages with the names of our own, on PYTHONPATH and in the current folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner import own_packages
from runner.environments.worker_command import worker_command
from runner.image_prep import decode_client
from runner.notify import send_process
from runner.preflight import images as preflight_images
from runner.process.launcher import WorkerSpec
from tests.helpers.paths import ROOT

FOREIGN = "raise RuntimeError('a foreign package was imported')\n"


@pytest.fixture
def shadowed(tmp_path: Path) -> dict[str, str]:
    """An environment whose PYTHONPATH holds four foreign packages; they are in `tmp_path` too."""
    for name in ("schemas", "images"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(FOREIGN)
    for name in ("workers", "runner"):
        (tmp_path / f"{name}.py").write_text(FOREIGN)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(("", str(tmp_path), str(ROOT)))}


def run(command: tuple[str, ...], folder: Path, env: dict[str, str], stdin: str = "") -> str:
    done = subprocess.run(
        command, cwd=folder, env=env, input=stdin, capture_output=True, text=True, timeout=120
    )
    assert "foreign package" not in done.stderr + done.stdout
    assert "ImportError" not in done.stderr
    assert "ModuleNotFoundError" not in done.stderr
    return done.stdout


def test_the_command_line_uses_our_own_packages(shadowed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert "sweeps" in run((sys.executable, "-m", "vlmsweep", "--help"), tmp_path, shadowed)
    families = run((sys.executable, "-m", "vlmsweep", "models", "--json"), tmp_path, shadowed)
    assert json.loads(families)  # printed by a process of `workers`
    listed = run((sys.executable, "-m", "vlmsweep", "schema", "--json"), tmp_path, shadowed)
    assert {row["name"] for row in json.loads(listed)} >= {"results", "runs"}


@pytest.mark.parametrize(
    "command",
    [
        decode_client.COMMAND,
        preflight_images.COMMAND,
        send_process.CHILD,
        WorkerSpec(Path("log"), Path("stack")).argv,
        worker_command(None)[0],
        worker_command(None, "workers.fetch")[0],
    ],
    ids=lambda command: command[3],
)
def test_every_process_of_ours_imports_our_own_packages(
    command: tuple[str, ...], shadowed: dict[str, str], tmp_path: Path
) -> None:
    assert command[:3] == (sys.executable, "-P", own_packages.__file__)
    program = "import runpy, sys; own = runpy.run_path(sys.argv[1]); own['install']();"
    program += "import importlib; print(importlib.import_module(sys.argv[2]).__file__)"
    import_only = (sys.executable, "-P", "-c", program, command[2], command[3].partition(".")[0])
    assert run(import_only, tmp_path, shadowed).startswith(str(ROOT))
    help = (*command[:4], "--help") if command[3] == "workers" else command[:4]
    run(help, tmp_path, shadowed)


def test_a_package_that_hides_ours_all_the_same_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").write_text("")
    program = "import schemas; from vlmsweep.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: the package 'schemas' in {tmp_path / 'schemas'} hides")
    assert done.stderr.count("\n") == 1
