"""Units that have `vlmsweep start` run by itself: for systemd on Linux, for launchd on macOS.

Pure text from what is asked; nothing is installed, started or read. What a unit means stands in
it, since whoever wonders about it later finds the unit first.
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
# Where models lie, and which devices are ours: a service knows nothing of the shell's settings.
KEPT = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What shall run: the command, settings for it, and from which hour each day, if not always."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    at: tuple[int, int] | None = None


def program() -> list[str]:
    """How this very vlmsweep is called, wherever it is called from."""
    script = Path(sys.executable).with_name("vlmsweep")
    return [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "runner"]


def command(options: Mapping[str, object]) -> list[str]:
    """`vlmsweep start` with the options that were given; None stands for none."""
    given = {name: value for name, value in options.items() if value is not None}
    words = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items()]
    return [*program(), "start", *chain.from_iterable(words)]


def inherited_environment() -> dict[str, str]:
    """What of our environment the service needs too."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def systemd(wanted: ServiceSpec) -> str:
    """A user unit."""
    timed = wanted.at is not None
    lines = [
        "# vlmsweep.service: works the queue of sweeps, made by `vlmsweep service`.",
        *(f"# {line}".rstrip() for line in INSTALL_TIMED if timed),
        *(f"# {line}".rstrip() for line in INSTALL if not timed),
        "",
        "[Unit]",
        "Description=vlmsweep: work the queue of sweeps",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(map(quoted, wanted.command))}",
        "# Secrets, a NAME=value a line: VLMSWEEP_NOTIFY, HF_TOKEN. chmod 600. May be missing.",
        f"EnvironmentFile=-%h/{SECRETS}",
        *(f"Environment={quoted(f'{k}={v}', '')}" for k, v in wanted.environment.items()),
        "# What waits stays in the queue, and a run that was cut off goes back to it.",
        "KillMode=mixed",
        "TimeoutStopSec=30",
        "# A model that runs out of memory is to die alone; systemd would stop all.",
        "OOMPolicy=continue",
        "# Exit code 1 says that some jobs failed, 130 that it was stopped.",
        "SuccessExitStatus=1 130",
    ]
    if not timed:
        lines += ["Restart=always", "RestartSec=30", "# Not when it was called wrongly."]
        lines += ["RestartPreventExitStatus=2", "", "[Install]", "WantedBy=default.target"]
    return "\n".join(lines) + "\n"


def timer(wanted: ServiceSpec) -> str:
    """The user unit that starts the other one each day."""
    assert wanted.at is not None
    hour, minute = wanted.at
    return "\n".join(
        [
            "# vlmsweep.timer: starts vlmsweep.service each day, made by `vlmsweep service`.",
            "[Unit]",
            "Description=vlmsweep: begin to work the queue of sweeps",
            "",
            "[Timer]",
            f"OnCalendar=*-*-* {hour:02}:{minute:02}:00",
            "# A day on which the machine was off is not made up for.",
            "Persistent=false",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def launchd(wanted: ServiceSpec) -> str:
    """A launch agent's property list."""
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
    """A word as systemd reads it in a command line; `special` is what it expands there."""
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
    "What it does: journalctl --user -u vlmsweep -f, or vlmsweep watch.",
    "Once and for all: systemctl --user disable --now vlmsweep",
)
INSTALL_TIMED = (
    "",
    "vlmsweep service > ~/.config/systemd/user/vlmsweep.service         (with the same options)",
    "vlmsweep service --timer > ~/.config/systemd/user/vlmsweep.timer   (with the same options)",
    "systemctl --user daemon-reload",
    "systemctl --user enable --now vlmsweep.timer",
    "loginctl enable-linger           so that it runs while you are not logged in",
    "",
    "What it does: journalctl --user -u vlmsweep -f, or vlmsweep watch.",
    "When it begins: systemctl --user list-timers vlmsweep.timer",
    "Once and for all: systemctl --user disable --now vlmsweep.timer",
)
# No two hyphens in a row: XML does not allow them in a comment.
AGENT = """\
  vlmsweep: works the queue of sweeps, made by `vlmsweep service`.

  vlmsweep service > ~/Library/LaunchAgents/vlmsweep.queue.plist   (with the same options)
  launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/vlmsweep.queue.plist

  What it does: vlmsweep watch, or the log named below.
  Once and for all: launchctl bootout gui/$(id -u)/vlmsweep.queue

  Secrets stand in ~/.config/vlmsweep/env, a NAME=value a line (VLMSWEEP_NOTIFY, HF_TOKEN),
  chmod 600; it may be missing. ProcessType is Interactive, or macOS would slow the models down
  and falsify their times. What waits when it is stopped stays in the queue.
"""
