"""`python -m runner.environments.create_env`: creates an environment with uv or venv and pip.

Runs under a shim, so that its whole process tree can be killed. The output of the tools goes to
the log, and line by line to the parent. The package index is configured in uv and pip. Locking,
renaming and time limits are in `runner.environments.build`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from schemas.shared.redact import redact

from .probe import clean_environment

Say = Callable[..., None]
Variant = Callable[[Path, str, Path, Say], None]
QUIETLY = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PYTHONUNBUFFERED": "1",
    "UV_NO_PROGRESS": "1",
    "NO_COLOR": "1",
}
ADDRESSES = ("Looking in ",)  # may contain a private index; not shown to the user
TOOL = "VLMSWEEP_INSTALLER"


class InstallerError(Exception):
    """An installer failed; the message is its error line."""


def main() -> None:
    """Create the environment; exit status 0 on success, 1 on failure."""
    parser = argparse.ArgumentParser(prog="python -m runner.environments.create_env")
    parser.add_argument("folder", type=Path)
    parser.add_argument("base")
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--events-fd", type=int, required=True)
    given = parser.parse_args()
    events = os.fdopen(given.events_fd, "w", encoding="utf-8", errors="replace", buffering=1)
    os.set_inheritable(given.events_fd, False)

    def say(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")

    found = installers()
    for number, (tool, make) in enumerate(found, start=1):
        shutil.rmtree(given.folder, ignore_errors=True)
        try:
            make(given.folder, given.base, given.requirements, say)
        except InstallerError as error:
            if number == len(found):
                say(failed=str(error))
                sys.exit(1)
            print(f"{tool} failed: {error}", flush=True)
            say(message=f"{tool} failed ({error}); trying pip")
        else:
            say(made=tool)
            return


def installers() -> list[tuple[str, Variant]]:
    """Return the installers to try, in order; VLMSWEEP_INSTALLER selects one."""
    only = os.environ.get(TOOL)
    found: list[tuple[str, Variant]] = [("pip", create_with_pip)]
    if uv() is not None:
        found.insert(0, ("uv", create_with_uv))
    return [variant for variant in found if variant[0] == only] or found


def uv() -> str | None:
    """Return the path of uv: on PATH, or in the folder of this interpreter."""
    sibling = Path(sys.executable).with_name("uv")
    return shutil.which("uv") or (str(sibling) if sibling.exists() else None)


def create_with_uv(folder: Path, base: str, requirements: Path, say: Say) -> None:
    """Create an environment with uv, which shares files between environments."""
    program = uv()
    assert program is not None
    options = ["--relocatable", "--no-project", "--no-python-downloads", "--python", base]
    call([program, "venv", *options, str(folder)], say)
    target = ["--python", str(folder / "bin" / "python")]
    call([program, "pip", "install", *target, "-r", str(requirements)], say)


def create_with_pip(folder: Path, base: str, requirements: Path, say: Say) -> None:
    """Create an environment with venv and pip, which every Python has."""
    call([base, "-m", "venv", str(folder)], say)
    python = str(folder / "bin" / "python")
    call([python, "-m", "pip", "install", "-r", str(requirements)], say)


def call(command: Sequence[str], say: Say) -> None:
    """Run an installer and pass on each line of output. Raises InstallerError."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        env=clean_environment() | QUIETLY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                line = redact(line)
                lines = [*lines[-50:], line.strip()]
                print(line, end="", flush=True)
                if not line.startswith(ADDRESSES):
                    say(message=line.strip())
    if process.returncode != 0:
        raise InstallerError(error_line(lines) or f"{Path(command[0]).name} failed")


def error_line(lines: list[str]) -> str:
    """Return the last line that pip or uv marks as an error, else the last line."""
    marked = [line for line in lines if line.startswith(("ERROR:", "error:", "╰─▶", "×"))]
    last = (marked or lines or [""])[-1].lstrip("╰─▶× ")
    return " ".join(last.removeprefix("ERROR:").removeprefix("error:").split())


if __name__ == "__main__":
    main()
