"""Calls commands with paths and texts that cannot be used.

    python tests/helpers/bad_arguments.py

Reads names of commands, one per line, and answers each with a JSON line: the list of its calls.
One process serves many commands, because the import of every module takes seconds. Each call is
made in a forked child with a time limit. The process gives up its right to read what file
permissions forbid, so that they mean something for root too.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import click

import runner
from runner.cli import cli
from runner.database.store import Store

LIMIT_S = 60
ESCAPED = os.fsdecode(b"caf\xe9")
PATHS = {
    "no permission": "locked/file.yaml",
    "name too long": "n" * 300,
    "path too long": "d/" * 2500 + "x.yaml",
    "wrong bytes": ESCAPED,
    "folder for a file": "folder",
    "missing parent": "missing/folder/x.yaml",
    "below a file": "file.txt/x.yaml",
    "FIFO": "fifo.yaml",
    "no user's home": "~nobody-of-that-name/x.yaml",
    "procfs": "/proc/x.db",
}
TEXTS = {"wrong bytes": ESCAPED, "lone surrogate": "\ud800", "too long": "n" * 5000}
FILE_NAMES = {"images", "models", "answers"}
REQUIRED = {"a": "1", "file": "file.txt", "query": "select 1", "sql": "select 1"}
# These would serve or wait for ever where the argument can be used after all.
LONG = {
    (command, kind)
    for command in ("demo", "start")
    for kind in ("missing parent", "no user's home", "too long", "wrong bytes")
}
ENDS = {"watch": ["--once"]}


def prepare(home: Path) -> None:
    """Fills a folder with one of each kind of path and makes it the working directory."""
    os.chdir(home)
    os.environ.update(HOME=str(home), XDG_DATA_HOME=str(home / "data"), HF_HUB_OFFLINE="1")
    for name in ("locked", "folder"):
        Path(name).mkdir()
    Path("locked/file.yaml").write_text("x")
    Path("file.txt").write_text("x")
    os.mkfifo("fifo.yaml")
    Store(home / "h.db").close()
    Path("locked").chmod(0)


def drop_override() -> None:
    """Gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, which root has."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)()
        libc.capget(header, data)
        data[0] &= ~0b110
        libc.capset(header, data)


def find_commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below one, with the words that lead to them."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from find_commands(below, (*path, name))
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, command


def bad_values(parameter: click.Parameter) -> dict[str, str]:
    """Bad values for a parameter; none for numbers, choices and flags."""
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
        return {}
    if isinstance(parameter.type, click.Path) or parameter.name in FILE_NAMES:
        return PATHS | {"lone surrogate": "\ud800"}
    return TEXTS if isinstance(parameter.type, click.types.StringParamType) else {}


def arguments_for(command: click.Command, bad: click.Parameter, value: str) -> list[str]:
    """A command line with one bad value and usable values for the required parameters."""
    options: list[str] = []
    words: list[str] = []
    for parameter in command.params:
        given = value if parameter is bad else REQUIRED.get(str(parameter.name), "x")
        if parameter.name == "db" and parameter is not bad:
            given = "h.db"
        elif parameter is not bad and not parameter.required:
            continue
        values = [given] * max(parameter.nargs, 1)
        if isinstance(parameter, click.Argument):
            words += values
        else:
            options += [parameter.opts[0], *values]
    return [*options, "--", *words]


def call(argv: list[str]) -> tuple[int, str]:
    """Exit status and output of one call in a forked child; a negative status is a signal."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        sys.stdout = os.fdopen(os.dup(1), "w")
        sys.stderr = os.fdopen(os.dup(2), "w")
        signal.alarm(LIMIT_S)
        status = 99
        try:
            cli.main(argv, prog_name="vlmsweep")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        output = file.read().decode(errors="backslashreplace")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), output


def calls_of(name: str) -> Iterator[dict[str, object]]:
    """All calls of one command and its subcommands."""
    for path, command in find_commands(cli.commands[name], (name,)):
        for parameter in command.params:
            kinds = bad_values(parameter)
            for kind, value in kinds.items():
                if (name, kind) in LONG:
                    continue
                argv = arguments_for(command, parameter, value)
                status, output = call([*path, *ENDS.get(name, []), *argv])
                what: dict[str, object] = {"text": kinds is TEXTS}
                what |= {"command": " ".join(path), "parameter": parameter.name, "kind": kind}
                yield what | {"status": status, "output": output[-600:]}


def main() -> None:
    """Answers each command, in a new separate folder."""
    for module in pkgutil.walk_packages(runner.__path__, "runner."):
        if "__main__" not in module.name:  # imported once here instead of in every child
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    drop_override()
    for line in sys.stdin:
        with tempfile.TemporaryDirectory(prefix="bad-arguments-") as folder:
            prepare(Path(folder))
            print(json.dumps(list(calls_of(line.strip()))), flush=True)
            Path("locked").chmod(0o700)
            os.chdir("/")


if __name__ == "__main__":
    main()
