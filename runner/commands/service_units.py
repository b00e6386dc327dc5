"""Unit files that run `vlmsweep start` as a service: systemd on Linux, launchd on macOS.

Returns text only; nothing is installed, started or read. Comments in the units explain them.
"""

from __future__ import annotations

import os
import plistlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

LABEL = "vlmsweep.queue"
SECRETS = ".config/vlmsweep/env"
# Model folders and devices: a service does not inherit the variables of the shell.
KEPT = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """The command, its environment variables, and the daily start (hour, minute); None: always."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    at: tuple[int, int] | None = None


def command_line() -> list[str]:
    """Return the command of this vlmsweep installation, with an absolute path."""
    script = Path(sys.executable).with_name("vlmsweep")
    return [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "vlmsweep"]


def command(options: Mapping[str, object]) -> list[str]:
    """Return `vlmsweep start` with the given options; options that are None are omitted."""
    given = {name: value for name, value in options.items() if value is not None}
    words = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items()]
    return [*command_line(), "start", *chain.from_iterable(words)]


def inherited_environment() -> dict[str, str]:
    """Return the environment variables that the service needs."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def systemd(wanted: ServiceSpec) -> str:
    """Return a systemd user unit."""
    timed = wanted.at is not None
    lines = [
        "# vlmsweep.service: runs the queue of sweeps, made by `vlmsweep service`.",
        *(f"# {line}".rstrip() for line in INSTALL_TIMED if timed),
        *(f"# {line}".rstrip() for line in INSTALL if not timed),
        "",
        "[Unit]",
        "Description=vlmsweep: run the queue of sweeps",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(map(quoted, wanted.command))}",
        "# Secrets, one NAME=value per line: VLMSWEEP_NOTIFY, HF_TOKEN. chmod 600. Optional.",
        f"EnvironmentFile=-%h/{SECRETS}",
        *(f"Environment={quoted(f'{k}={v}', '')}" for k, v in wanted.environment.items()),
        "# Queued jobs stay queued, and an interrupted run is queued again.",
        "KillMode=mixed",
        "TimeoutStopSec=30",
        "# Out of memory kills one model only; by default systemd stops the service.",
        "OOMPolicy=continue",
        "# Exit code 1: some jobs failed; 130: it was stopped.",
        "SuccessExitStatus=1 130",
    ]
    if not timed:
        lines += ["Restart=always", "RestartSec=30", "# Not after a usage error."]
        lines += ["RestartPreventExitStatus=2", "", "[Install]", "WantedBy=default.target"]
    return "\n".join(lines) + "\n"


def timer(wanted: ServiceSpec) -> str:
    """Return the systemd user unit that starts the service each day."""
    assert wanted.at is not None
    hour, minute = wanted.at
    return "\n".join(
        [
            "# vlmsweep.timer: starts vlmsweep.service each day, made by `vlmsweep service`.",
            "[Unit]",
            "Description=vlmsweep: start to run the queue of sweeps",
            "",
            "[Timer]",
            f"OnCalendar=*-*-* {hour:02}:{minute:02}:00",
            "# A start missed while the machine was off is not repeated.",
            "Persistent=false",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def launchd(wanted: ServiceSpec) -> str:
    """Return the property list of a launchd agent."""
    home = Path.home()
    log = str(home / "Library/Logs/vlmsweep.log")
    secrets = shlex.quote(str(home / SECRETS))
    # launchd reads no file of variables; the shell does, and then is replaced.
    script = f"set -a; [ ! -f {secrets} ] || . {secrets}; exec {shlex.join(wanted.command)}"
    agent: dict[str, Any] = {
        "Label": LABEL,
        "ProgramArguments": ["/bin/sh", "-c", script],
        "ProcessType": "Interactive",
        "ExitTimeOut": 30,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    if wanted.environment:
        agent["EnvironmentVariables"] = dict(wanted.environment)
    if wanted.at is None:
        agent |= {"RunAtLoad": True, "KeepAlive": True, "ThrottleInterval": 30}
    else:
        agent["StartCalendarInterval"] = dict(zip(("Hour", "Minute"), wanted.at, strict=True))
    text = plistlib.dumps(agent, sort_keys=False).decode()
    head, end = text.split("<dict>", 1)
    return f"{head}<!--\n{AGENT}-->\n<dict>{end}"


def quoted(word: str, special: str = "$") -> str:
    """Quote a word for a systemd command line; `special` are characters to double."""
    for sign in ("%", *special):
        word = word.replace(sign, sign * 2)
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if not escaped or set(escaped) & set(" \t'\"\\;") else escaped


INSTALL = (
    "",
    "vlmsweep service > ~/.config/systemd/user/vlmsweep.service   (with the same options)",
    "systemctl --user daemon-reload",
    "systemctl --user enable --now vlmsweep",
    "loginctl enable-linger           so that it runs while you are not logged in",
    "",
    "Status: journalctl --user -u vlmsweep -f, or vlmsweep watch.",
    "Uninstall: systemctl --user disable --now vlmsweep",
)
INSTALL_TIMED = (
    "",
    "vlmsweep service > ~/.config/systemd/user/vlmsweep.service         (with the same options)",
    "vlmsweep service --timer > ~/.config/systemd/user/vlmsweep.timer   (with the same options)",
    "systemctl --user daemon-reload",
    "systemctl --user enable --now vlmsweep.timer",
    "loginctl enable-linger           so that it runs while you are not logged in",
    "",
    "Status: journalctl --user -u vlmsweep -f, or vlmsweep watch.",
    "Next start: systemctl --user list-timers vlmsweep.timer",
    "Uninstall: systemctl --user disable --now vlmsweep.timer",
)
# No two hyphens in a row: XML does not allow them in a comment.
AGENT = """\
  vlmsweep: runs the queue of sweeps, made by `vlmsweep service`.

  vlmsweep service > ~/Library/LaunchAgents/vlmsweep.queue.plist   (with the same options)
  launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/vlmsweep.queue.plist

  Status: vlmsweep watch, or the log named below.
  Uninstall: launchctl bootout gui/$(id -u)/vlmsweep.queue

  Secrets: ~/.config/vlmsweep/env, one NAME=value per line (VLMSWEEP_NOTIFY, HF_TOKEN), chmod 600;
  optional. ProcessType is Interactive, because macOS slows background processes down. When it
  is stopped, queued jobs stay queued.
"""
