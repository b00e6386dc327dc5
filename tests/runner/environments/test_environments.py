"""Environments that models name: made by real tools, kept, shared, and killed in the making."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner import own_packages
from runner.database.store import Store
from runner.environments import build, cache, create_env, probe, resolve
from runner.environments.probe import InterpreterError
from runner.environments.worker_command import worker_command
from runner.planning import expand, sweepfile
from runner.process.launcher import ShimHandle, ShimLauncher, WorkerSpec
from runner.supervisor.supervisor import Supervisor
from schemas import stream
from tests.helpers.paths import ROOT
from tests.helpers.scripted_sweep import FAKE
from tests.helpers.waiting import wait_until


@pytest.fixture(autouse=True)
def shelf_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "environments"
    monkeypatch.setenv(cache.VARIABLE, str(root))
    monkeypatch.setenv(create_env.TOOL, "uv")
    return root


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A package that needs no registry."""
    path = tmp_path / "tiny_thing-1.0-py3-none-any.whl"
    info = "tiny_thing-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny_thing.py", "SIZE = 1\n")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return str(path)


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a script in uv's place; gives a folder it may write to."""

    def put(script: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "uv"
        program.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return put


needs_uv = pytest.mark.skipif(create_env.uv() is None, reason="uv is not installed")
HANGS = "(sleep 1000 & echo $! > child; wait)"


def run(python: Path | str, code: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [python, "-P", "-c", code],
        env={**os.environ, **(env or {"PYTHONPATH": ""})},
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("tool", [pytest.param("uv", marks=needs_uv), "pip"])
def test_environment_is_built_from_registry_packages(
    tool: str,
    monkeypatch: pytest.MonkeyPatch,
    shelf_root: Path,
    fake_uv: Callable[[str], Path],
) -> None:
    if tool == "pip":  # is tried after uv, and the log has it
        fake_uv("echo 'error: I do not know this index'; exit 1")
        monkeypatch.delenv(create_env.TOOL)
    output: list[str] = []
    made = build.build(sys.executable, ["iniconfig>=2"], output.append)
    assert run(made.python, "import iniconfig; print(iniconfig.__name__)") == "iniconfig"
    assert "ModuleNotFoundError" in run(made.python, "import pydantic")
    assert any("iniconfig" in line for line in output)
    turned = "uv failed (I do not know this index); trying pip"
    assert (turned in output) == (tool == "pip")
    assert made.log.read_text()
    assert not list(shelf_root.glob(".*making"))
    # It is found again, and nothing is reported.
    assert build.build(sys.executable, ["iniconfig>=2"], pytest.fail) == made


@needs_uv
def test_changed_requirements_file_gives_another_environment(wheel: str) -> None:
    first = build.build(sys.executable, [wheel], lambda _: None)
    assert run(first.python, "import tiny_thing; print(tiny_thing.SIZE)") == "1"
    with zipfile.ZipFile(wheel, "a") as file:
        file.writestr("more.py", "")
    assert build.build(sys.executable, [wheel], lambda _: None) != first
    assert cache.cached_environment(probe.probe(sys.executable), ["other"]).folder != first.folder


@needs_uv
def test_worker_sees_only_the_packages_of_its_environment(wheel: str) -> None:
    made = build.build(sys.executable, [wheel], lambda _: None)
    argv, env = worker_command(str(made.python))
    assert argv == (str(made.python), "-P", "-m", "workers")
    assert run(made.python, "import tiny_thing, workers, schemas; print('all')", env) == "all"
    for ours in ("runner", "pydantic", "tests"):
        assert "ModuleNotFoundError" in run(made.python, f"import {ours}", env), ours
    assert sorted(p.name for p in Path(env["PYTHONPATH"]).iterdir()) == ["schemas", "workers"]
    assert worker_command(None) == (own_packages.command("workers"), {})


def test_failed_environment_leaves_only_a_log(
    fake_uv: Callable[[str], Path], shelf_root: Path
) -> None:
    fake_uv("mkdir -p half; echo some words; echo 'error: no such thing' >&2; exit 1")
    with pytest.raises(InterpreterError, match="could not be created: no such thing") as error:
        build.build(sys.executable, ["x"], lambda _: None)
    (log,) = shelf_root.glob("*.log")
    assert str(log) in str(error.value.hint)
    assert "some words" in log.read_text()
    assert not [path for path in shelf_root.iterdir() if path.is_dir()]


@pytest.mark.slow
def test_time_limit_kills_the_whole_installation(fake_uv: Callable[[str], Path]) -> None:
    place = fake_uv(HANGS)
    with pytest.raises(InterpreterError, match="not created within 3 s"):
        build.build(sys.executable, ["x"], lambda _: None, limit_s=3)
    assert not psutil.pid_exists(int((place / "child").read_text()))


MAKE = """
import sys
from runner.environments import build
made = build.build(sys.executable, sys.argv[1:], lambda line: print(line, flush=True))
print("made", made.folder)
"""


def start(*requirements: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, *requirements],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_installation_ends_with_its_parent(number: int, fake_uv: Callable[[str], Path]) -> None:
    place = fake_uv(HANGS)
    with start("x") as vlmsweep:
        child = place / "child"
        wait_until(lambda: child.exists() and child.read_text().strip())
        vlmsweep.send_signal(number)
    wait_until(lambda: not psutil.pid_exists(int(child.read_text())))


@needs_uv
def test_concurrent_requests_build_one_environment(
    fake_uv: Callable[[str], Path], tmp_path: Path, wheel: str, shelf_root: Path
) -> None:
    real = create_env.uv()
    # The real tool, held up until the second one waits for it.
    place = fake_uv(f'echo x >> calls\nwhile [ ! -e go ]; do sleep 0.02; done\nexec {real} "$@"')
    with start(wheel) as first:
        wait_until(lambda: (place / "calls").exists())
        with start(wheel) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "waiting: another vlmsweep is creating it\n"
            (place / "go").touch()
            assert second.stdout.read().startswith("made ")
        assert first.communicate()[0].splitlines()[-1].startswith("made ")
    assert (place / "calls").read_text().split() == ["x", "x"]  # venv and install


def test_old_or_broken_interpreter_is_refused(tmp_path: Path) -> None:
    for name, script, output in (
        ("old", 'echo \'[[3, 9, 1], "linux", "/usr"]\'', "is Python 3.9.1, and workers need 3.11"),
        ("broken", "echo 'no home' >&2; exit 1", "does not work as Python: no home"),
        ("silly", "echo hello", "does not work as Python"),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(InterpreterError, match=output):
            probe.probe(str(program))
        argv, _ = worker_command(str(program))
        assert argv[3] == "workers.failing_worker"
        assert output in json.loads(argv[4])["message"]


class ForeignLauncher(ShimLauncher):
    """Scripted workers for our own interpreter; stand-ins are the real ones."""

    def start(self, spec: WorkerSpec) -> ShimHandle:
        if spec.argv[3] == "workers":
            spec = dataclasses.replace(spec, argv=(sys.executable, str(FAKE)))
        return super().start(spec)


@pytest.fixture
def swept(tmp_path: Path, store: Store) -> Callable[[list[Any]], list[dict[str, Any]]]:
    from runner.database import sweep_writer
    from runner.system import environment

    def sweep(models: list[Any]) -> list[dict[str, Any]]:
        (tmp_path / "fine").mkdir()
        data = {"models": models, "prompts": [{"text": "hello", "images": "none"}]}
        plan = expand.expand_sweep(sweepfile.validate(data, "test"), tmp_path, "test")
        plan, failures = resolve.resolve_environments(plan, emitted.append)
        assert {one.model for one in failures} == {"bad", "again"}
        number = sweep_writer.add_sweep(store, plan, [], environment.supervisor_environment())
        Supervisor(store, lambda _: None, ForeignLauncher()).run_sweep(number)
        return list(store.db.query("SELECT * FROM results ORDER BY job_id"))

    emitted: list[stream.StreamEvent] = []
    sweep.emitted = emitted  # type: ignore[attr-defined]
    return sweep


def test_failed_environment_fails_only_its_model(
    swept: Any, store: Store, fake_uv: Callable[[str], Path]
) -> None:
    place = fake_uv("echo called >> calls; echo 'error: no such thing'; exit 1")
    bad = {"id": "./fine", "requirements": ["nothing==0"]}
    rows = swept(
        [
            {**bad, "name": "bad"},
            {**bad, "name": "again", "fallback": ["./fine"]},
            {"id": "./fine", "name": "good"},
        ]
    )
    outcomes = {row["model"]: (row["outcome"], row["error_class"]) for row in rows}
    assert outcomes == {
        "bad": ("error", "environment"),
        "again": ("ok", None),
        "good": ("ok", None),
    }
    assert "no such thing" in rows[0]["message"]
    assert ".log" in rows[0]["hint"]
    assert (place / "calls").read_text().split() == ["called"], "tried once for both"
    states = [event.state for event in swept.emitted]
    assert states[-1] == "failed"
    stored = list(store.db.query("SELECT name, python, requirements FROM sweep_models ORDER BY id"))
    assert stored[0]["requirements"] == '["nothing==0"]'
    assert stored[0]["python"].startswith(str(cache.root()))
    assert stored[-1]["python"] is stored[-1]["requirements"] is None


@needs_uv
def test_deleted_environment_is_rebuilt(wheel: str) -> None:
    made = build.build(sys.executable, [wheel], lambda _: None)
    shutil.rmtree(made.folder)
    argv, _ = worker_command(str(made.python))
    assert "no longer exists" in argv[4]
    emitted: list[Any] = []
    resolve.restore_environments(
        [("m", str(made.python)), ("other", sys.executable)], emitted.append
    )
    assert made.exists
    assert (emitted[-1].model, emitted[-1].state) == ("m", "ready")
    assert worker_command(str(made.python))[0][0] == str(made.python)
