"""Every path and text argument of every command, given something that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from runner.cli import cli
from tests.helpers.bad_arguments import __file__ as DRIVER

# These may well work: a file can have any bytes in its name, a folder can be made, a name is long.
MAY_WORK = {"wrong bytes", "missing parent", "no user's home", "procfs", "too long"}
# A unit is printed for a database that is still to come; a folder of models needs no download;
# the list of queries needs no database; doctor lists an unusable one as a problem; a Parquet file
# takes the place of what had its name.
USABLE = {
    *(("service", "db"), ("fetch", "models"), ("history", "db"), ("doctor", "db")),
    *(("history", "file"), ("sql", "file"), ("search", "file"), ("show", "file")),
}
WAIT_S = 900


@pytest.mark.parametrize("command", list(cli.commands))
def test_unusable_argument_is_reported_without_traceback(command: str) -> None:
    done = subprocess.run(
        [sys.executable, DRIVER, command],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = []
    for call in calls:
        usable = call["kind"] in MAY_WORK and not call["text"]
        usable = usable or (call["command"], call["parameter"]) in USABLE
        allowed = {0, 1, 2, 3} if usable or call["kind"] == "too long" else {2, 3}
        text = call["output"]
        if call["status"] not in allowed or "Traceback" in text or "nternal error" in text:
            wrong.append(call)
    assert wrong == []
