"""Units for systemd and launchd: read back by those who know their formats."""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.commands import service_units


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in service_units.KEPT:
        monkeypatch.delenv(name, raising=False)


def made(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["service", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def setting(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


def verified(folder: Path, **units: str) -> str:
    """Returns systemd's complaints about the units."""
    files = []
    for kind, unit in units.items():
        files.append(folder / f"vlmsweep.{kind}")
        files[-1].write_text(unit)
    command = ["systemd-analyze", "verify", "--user", *map(str, files)]
    own = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=own).stderr


def test_service_unit_runs_permanently() -> None:
    unit = made("--for", "systemd", "--db", "/data/my history.db", "--workers", "2")
    words = shlex.split(setting(unit, "ExecStart")[0])
    assert words[-5:] == ["start", "--db", "/data/my history.db", "--workers", "2"]
    assert Path(words[0]).is_absolute()
    assert setting(unit, "Restart") == ["always"]
    assert setting(unit, "WantedBy") == ["default.target"]
    assert setting(unit, "OOMPolicy") == ["continue"]


def test_service_unit_runs_between_two_hours() -> None:
    unit = made("--for", "systemd", "--db", "/h.db", "--at", "22:00", "--until", "7:00")
    assert setting(unit, "ExecStart")[0].endswith("start --db /h.db --until 07:00 --workers 1")
    assert setting(unit, "Restart") == setting(unit, "WantedBy") == []
    timer = made("--for", "systemd", "--at", "22:05", "--timer")
    assert setting(timer, "OnCalendar") == ["*-*-* 22:05:00"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_accepts_the_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "/models/50% $HOME 'of' \"all\"")
    always = made("--for", "systemd", "--db", "/data/a 100% $odd 'name'.db")
    assert verified(tmp_path, service=always) == ""
    assert "Unknown key" in verified(tmp_path, service=always.replace("Restart=", "Restrat="))
    night = ["--for", "systemd", "--at", "22:00", "--until", "7:00"]
    assert verified(tmp_path, service=made(*night), timer=made(*night, "--timer")) == ""


def test_arguments_are_quoted_for_systemd() -> None:
    assert service_units.quoted("plain/word") == "plain/word"
    assert service_units.quoted("50% of $HOME") == '"50%% of $$HOME"'
    assert service_units.quoted('say "\\"') == '"say \\"\\\\\\""'
    assert service_units.quoted("A=$B", "") == "A=$B"


def test_launchd_agent_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "a 'home'"))
    monkeypatch.setenv("HF_HOME", "/models & <more>")
    agent = plistlib.loads(made("--for", "launchd", "--db", "/data/my 'own'.db").encode())
    assert agent["KeepAlive"]
    assert agent["EnvironmentVariables"] == {"HF_HOME": "/models & <more>"}
    assert agent["StandardOutPath"].startswith(str(tmp_path))
    night = plistlib.loads(made("--for", "launchd", "--at", "22:05", "--until", "7:00").encode())
    assert night["StartCalendarInterval"] == {"Hour": 22, "Minute": 5}
    assert "KeepAlive" not in night


def test_launchd_agent_runs_with_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a 'home'"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(
        service_units, "command_line", lambda: [sys.executable, str(tmp_path / "my own.py")]
    )
    (tmp_path / "my own.py").write_text("import os, sys; print(sys.argv[1:], os.environ.get('S'))")
    agent = plistlib.loads(made("--for", "launchd", "--db", "/data/my 'own'.db").encode())
    start = ["start", "--db", "/data/my 'own'.db", "--workers", "1"]
    for secret in (None, "a b"):
        if secret is not None:
            (home / ".config/vlmsweep").mkdir(parents=True)
            (home / ".config/vlmsweep/env").write_text(f"S='{secret}'\n")
        done = subprocess.run(agent["ProgramArguments"], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"{start} {secret}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--until", "7:00"],
        ["--timer"],
        ["--timer", "--at", "7:00", "--for", "launchd"],
        ["--at", "x"],
    ],
)
def test_contradictory_service_options_are_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["service", *arguments]).exit_code == 2
