"""Runs an interpreter to get its version and platform, with a time limit."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from schemas.shared.redact import redact

from ..errors import VlmsweepError
from ..text.sanitize import display_path, one_line

LIMIT_S = 15.0
OLDEST = (3, 11)  # what workers/ is written for
ASK = (
    "import json, sys, sysconfig; "
    "print(json.dumps([sys.version_info[:3], sysconfig.get_platform(), sys.base_prefix]))"
)


class InterpreterError(VlmsweepError):
    """An environment that workers cannot use, or that could not be created."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A working interpreter: its version, its platform and its `sys.base_prefix`."""

    path: str
    version: tuple[int, int, int]
    platform: str
    prefix: str


def clean_environment() -> dict[str, str]:
    """Return the environment variables without those that add packages to an interpreter."""
    foreign = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {name: value for name, value in os.environ.items() if name not in foreign}


@functools.cache
def probe(path: str) -> Interpreter:
    """Run an interpreter and return its properties.

    Raises InterpreterError if it is missing, does not work or is too old.
    """
    shown = display_path(path)
    if not Path(path).exists():
        raise InterpreterError(
            f"there is no interpreter at {shown}", hint="correct python: in the sweep file"
        )
    try:
        completed = subprocess.run(
            [path, "-I", "-c", ASK],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        version, platform, prefix = json.loads(completed.stdout)
    except subprocess.CalledProcessError as error:
        last = one_line(redact("".join((error.stderr or "").strip().splitlines()[-1:])))
        raise InterpreterError(f"{shown} does not work as Python: {last}") from error
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise InterpreterError(f"{shown} does not work as Python: {error}") from error
    if tuple(version[:2]) < OLDEST:
        found, least = ".".join(map(str, version)), ".".join(map(str, OLDEST))
        raise InterpreterError(
            f"{shown} is Python {found}, and workers need {least} or newer",
            hint=f"make an environment with Python {least} or newer and name that",
        )
    return Interpreter(path, (version[0], version[1], version[2]), platform, prefix)
