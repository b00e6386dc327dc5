"""Every path and text argument of every command, given something that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runner.cli import cli
from tests.helpers.bad_arguments import __file__ as DRIVER

pytestmark = pytest.mark.slow

# These may work: a file can have any bytes in its name, a folder can be made, a name is long.
MAY_WORK = {"wrong bytes", "missing parent", "no user's home", "procfs", "too long"}
# A unit is printed for a database that is still to come; a folder of models needs no download;
# the list of queries needs no database; doctor lists an unusable one as a problem; a Parquet file
# replaces a file of that name.
USABLE = {
    *(("service", "db"), ("fetch", "models"), ("history", "db"), ("doctor", "db")),
    *(("history", "file"), ("sql", "file"), ("search", "file"), ("show", "file")),
}
WAIT_S = 900


Calls = list[dict[str, Any]]


@pytest.fixture(scope="module")
def calls_of() -> Iterator[Callable[[str], Calls]]:
    """Returns the calls of a command; one process makes those of all commands."""
    driver = subprocess.Popen(
        [sys.executable, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(command: str) -> Calls:
        assert driver.stdin
        assert driver.stdout
        overdue = threading.Timer(WAIT_S, driver.kill)
        overdue.start()
        try:
            print(command, file=driver.stdin, flush=True)
            line = driver.stdout.readline()
        finally:
            overdue.cancel()
        assert line, f"the process ended, or had no answer within {WAIT_S} s"
        calls: Calls = json.loads(line)
        return calls

    with driver:  # closing its input ends it
        yield ask


@pytest.mark.parametrize("command", list(cli.commands))
def test_unusable_argument_is_reported_without_traceback(
    command: str, calls_of: Callable[[str], Calls]
) -> None:
    calls = calls_of(command)
    wrong = []
    for call in calls:
        usable = call["kind"] in MAY_WORK and not call["text"]
        usable = usable or (call["command"], call["parameter"]) in USABLE
        allowed = {0, 1, 2, 3} if usable or call["kind"] == "too long" else {2, 3}
        text = call["output"]
        if call["status"] not in allowed or "Traceback" in text or "nternal error" in text:
            wrong.append(call)
    assert wrong == []
