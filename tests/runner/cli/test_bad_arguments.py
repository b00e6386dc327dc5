"""Every path and text argument of every command, given something that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from runner.cli import cli
from tests.helpers.bad_arguments import __file__ as DRIVER

# What can be used after all: a name may be long, a search for such a text finds nothing, a unit is
# printed for a database that is still to come, and a folder of models needs no download.
USABLE = {("service", "db"), ("fetch", "models")}
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
        usable = (call["command"], call["parameter"]) in USABLE or call["kind"] == "too long"
        allowed = {0, 1, 2, 3} if usable else {2, 3}
        text = call["output"]
        if call["status"] not in allowed or "Traceback" in text or "nternal error" in text:
            wrong.append(call)
    assert wrong == []
