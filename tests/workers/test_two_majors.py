"""The same answers under transformers 4 and 5, and a whole worker under each.

The second environment is the one VLMSWEEP_TRANSFORMERS4_PYTHON names (an interpreter), else
one made by `scripts/make_old_env.py` and kept in pytest's cache.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner import api
from runner.planning import expand, sweepfile
from schemas.commands import Load, Run, Stop, Turn
from schemas.generation import Generation
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.model
FAMILIES = ("moondream2", "moondream1", "phi3_v_remote", "llava")
GIVEN = "VLMSWEEP_TRANSFORMERS4_PYTHON"


@pytest.fixture(scope="module")
def old_python(request: pytest.FixtureRequest) -> str:
    """An interpreter with transformers 4."""
    if GIVEN in os.environ:
        return os.environ[GIVEN]
    path = ROOT / "scripts/make_old_env.py"
    spec = importlib.util.spec_from_file_location("make_old_env", path)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return str(script.make(Path(request.config.cache.mkdir("transformers4"))))


def environment(checkpoints: Path, modules: Path) -> dict[str, str]:
    """No network, our folder to import from, and copied code out of the way."""
    ours = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(checkpoints / "hub"),
        "HF_MODULES_CACHE": str(modules),
        "PYTHONPATH": str(ROOT),
    }
    return {**os.environ, **ours}


def test_both_majors_give_equal_texts(
    old_python: str, tiny: Callable[[str], Path], images: dict[str, str], tmp_path: Path
) -> None:
    made = [tiny(family) for family in FAMILIES]
    checkpoints = made[0].parent
    # (transformers 4 takes an image of one pixel for one with a single channel.)
    seen = [images[name] for name in ("square", "wide")]
    ask = [ROOT / "tests/helpers/answer_all_families.py", checkpoints, *seen]
    emitted: list[dict[str, Any]] = []
    for python in (old_python, sys.executable):
        done = subprocess.run(
            [python, *map(str, ask), "--", *FAMILIES],
            env=environment(checkpoints, tmp_path / str(len(emitted))),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        emitted.append(json.loads(done.stdout.splitlines()[-1]))
    old, new = emitted
    assert (old["version"][0], new["version"][0]) == ("4", "5")
    for family in FAMILIES:
        assert old["families"][family]["runs"] == new["families"][family]["runs"], family
        texts = [run[0] for run in new["families"][family]["runs"]]
        assert len(set(texts)) == len(texts), "it does not look, or not read"
    for each in emitted:  # a note names the variant used
        notes = each["families"]["phi3_v_remote"]["notes"]
        assert any(f"transformers {each['version']}" in note for note in notes)


@pytest.mark.parametrize("major", ["4", "5"])
def test_worker_runs_in_both_majors(
    major: str,
    old_python: str,
    tiny: Callable[[str], Path],
    images: dict[str, str],
    tmp_path: Path,
) -> None:
    python = old_python if major == "4" else sys.executable
    folder = tiny("moondream2")
    load = Load(model=str(folder), local=True, device="cpu", trust_remote_code=True)
    turn = Turn(text="What colour is it?", images=(images["wide"],))
    run = Run(run=7, turns=(turn,), generation=Generation(max_new_tokens=8))
    lines = "".join(json.dumps(asdict(command)) + "\n" for command in (load, run, Stop()))
    events = tmp_path / "events"
    with events.open("wb") as file:
        done = subprocess.run(
            [python, "-m", "workers", "--events-fd", str(file.fileno())],
            input=lines,
            text=True,
            pass_fds=[file.fileno()],
            env=environment(folder.parent, tmp_path / "modules"),
            cwd=tmp_path,
            capture_output=True,
        )
    assert done.returncode == 0, done.stderr
    emitted = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    (loaded,) = [event for event in emitted if event["event"] == "loaded"]
    (finished,) = [event for event in emitted if event["event"] == "run_finished"]
    assert loaded["versions"]["transformers"].startswith(f"{major}.")
    assert (finished["run"], finished["output_tokens"]) == (7, 8)
    assert emitted[-1]["event"] == "worker_exiting"


def test_sweep_runs_in_both_majors(
    old_python: str,
    tiny: Callable[[str], Path],
    images: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("VLMSWEEP_ENVIRONMENTS", str(tmp_path / "environments"))
    model = {"id": str(tiny("llava")), "device": "cpu"}
    data = {
        "models": [{**model, "name": "new"}, {**model, "name": "old", "python": old_python}],
        "images": [images["square"], images["wide"]],
        "prompts": ["What colour is it?"],
        "generation": {"max_new_tokens": 8},
    }
    plan = expand.expand_sweep(sweepfile.validate(data, "test"), tmp_path, "test")
    database = tmp_path / "history.db"
    assert api.run(plan, database, lambda _: None).state == "done"
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT model, outcome, text, json_extract(packages, '$.transformers'),"
            " sweep_models.python FROM results JOIN workers ON workers.id = worker_id"
            " JOIN environments ON environments.id = environment_id"
            " JOIN sweep_models ON sweep_models.id = sweep_model_id ORDER BY job_id"
        ).fetchall()
    connection.close()
    assert [(row[0], row[1], row[3][:2]) for row in rows] == [
        ("new", "ok", "5."),
        ("new", "ok", "5."),
        ("old", "ok", "4."),
        ("old", "ok", "4."),
    ]
    assert [row[2] for row in rows[:2]] == [row[2] for row in rows[2:]]
    assert [row[4] for row in rows] == [None, None, old_python, old_python]
