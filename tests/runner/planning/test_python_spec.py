"""The interpreter and the requirements that a sweep file names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from runner.errors import SweepFileError
from runner.planning import expand, python_spec, sweepfile
from runner.planning.plan import Plan


def plan(base: Path, **model: Any) -> Plan:
    data = {"models": [{"id": "demo", **model}], "prompts": [{"text": "x", "images": "none"}]}
    return expand.expand_sweep(sweepfile.validate(data, "test"), base, "test")


def test_interpreter_is_a_file_an_environment_or_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "old" / "bin" / "python"
    there.parent.mkdir(parents=True)
    there.symlink_to(sys.executable)
    for named in ("old", "./old/bin/python", str(there)):
        # The link itself: its target does not have the environment's packages.
        assert plan(tmp_path, python=named).entries[0].place.python == str(there)
    monkeypatch.setenv("PATH", str(there.parent))
    assert python_spec.interpreter("python", tmp_path) == str(there)
    assert plan(tmp_path).entries[0].place.python is None


@pytest.mark.parametrize(
    ("named", "message"),
    [("gone", "neither an interpreter"), ("empty", "no bin/python"), ("text", "not a program")],
)
def test_invalid_interpreter_is_reported(tmp_path: Path, named: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("x")
    with pytest.raises(SweepFileError, match=rf"models\[0\]\.python: '{named}' is .*{message}"):
        plan(tmp_path, python=named)


def test_requirements_are_read_from_every_source(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "pins.txt").write_text("c==3\n")
    (tmp_path / "more" / "b.txt").write_text("b>=2 \\\n  ,<3\n-c pins.txt\n./b.whl\n")
    (tmp_path / "more" / "b.whl").write_bytes(b"")
    (tmp_path / "a.txt").write_text("# all\na==1   # why\n\n-r more/b.txt\n--pre\na==1\n")
    wanted = ("a==1", "b>=2 ,<3", f"-c {tmp_path}/more/pins.txt", f"{tmp_path}/more/b.whl", "--pre")
    assert plan(tmp_path, requirements="a.txt").entries[0].place.requirements == wanted
    assert plan(tmp_path, requirements=["-r a.txt"]).entries[0].place.requirements == wanted
    assert plan(tmp_path).entries[0].place.requirements is None


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("gone.txt", "cannot read"),
        ("loop.txt", "names itself"),
        (["# nothing"], "names no package"),
        (["--pre"], "names no package"),
        (["-e ."], "build a wheel"),
        (["./gone.whl"], "does not exist"),
        (["."], "may change unnoticed"),
    ],
)
def test_invalid_requirement_is_reported(tmp_path: Path, named: Any, message: str) -> None:
    (tmp_path / "loop.txt").write_text("-r loop.txt\n")
    with pytest.raises(SweepFileError, match=rf"models\[0\]\.requirements: .*{message}"):
        plan(tmp_path, requirements=named)


def test_password_in_a_requirement_is_refused_and_not_printed(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match="name or password") as error:
        plan(tmp_path, requirements=["x @ https://me:secret@host.invalid/x.whl"])
    assert "secret" not in error.value.message
    assert python_spec.requirements(["x @ git+https://host.invalid/x@v1"], tmp_path)


def test_fallback_has_its_own_environment(tmp_path: Path) -> None:
    fallback = {"id": "demo", "requirements": ["b"]}
    (entry,) = plan(tmp_path, requirements=["a"], fallback=[fallback, "demo"]).entries
    asked = [place.requirements for place in (entry.place, *entry.fallbacks)]
    assert asked == [("a",), ("b",), None]


def test_server_model_needs_no_environment(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match="python, requirements would be ignored"):
        plan(tmp_path, engine="openai", url="http://127.0.0.1:1/v1", python="x", requirements=["y"])
