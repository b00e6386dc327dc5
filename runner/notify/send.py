"""Sends one message: `python -m runner.notify.send`, the task as JSON on standard input.

Runs in a separate process, which may hang or crash without harm. Prints a JSON list of failed
addresses, without secrets. With --check it only lists the addresses it does not know.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from schemas.shared.redact import Redactor

from ..text.sanitize import truncate
from .message import Message, compose
from .send_process import LIMIT_S

WHY = 300


def main(arguments: list[str]) -> int:
    """The whole process. Always prints a list."""
    task = json.load(sys.stdin)
    redactor = Redactor(urls=task["urls"])
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
    signal.alarm(int(LIMIT_S) + 5)  # should the supervisor be gone by then
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # keep output of libraries out of the answer
        check = "--check" in arguments
        failures = list(invalid_urls(task["urls"]) if check else send(task, redactor))
    json.dump([redactor(failure) for failure in failures], out)
    return 0


def redacted_name(place: int, url: str) -> str:
    """`address 2 (discord)`: its place among all, from 1, and its scheme."""
    scheme = re.match(r"[A-Za-z0-9+.-]{1,20}(?=://)", url)
    return f"address {place} ({scheme[0]})" if scheme else f"address {place}"


def invalid_urls(urls: list[str]) -> Iterator[str]:
    """Addresses that apprise cannot make anything of."""
    import apprise

    for place, url in enumerate(urls, 1):
        if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None:
            yield redacted_name(place, url)


def send(task: dict[str, Any], redactor: Redactor) -> Iterator[str]:
    """Sends to the command and to every address; gives what could not be, and why."""
    message = compose(Path(task["database"]), task["title"], task["body"], task["facts"]["sweep"])
    if task["command"]:
        yield from run(task["command"], message, task, redactor)
    for place, url in enumerate(task["urls"], 1):
        try:
            why = post(url, message)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if why is not None:
            yield f"{redacted_name(place, url)}: {truncate(redactor(why), WHY)}"


def post(url: str, message: Message) -> str | None:
    """Sends to one address; why it could not be sent, or None."""
    import apprise

    server = apprise.Apprise.instantiate(url)
    if server is None:
        return "apprise does not know it"
    form = message_format(server)
    sender = apprise.Apprise()
    sender.add(server)
    with apprise.LogCapture(level=apprise.logging.WARNING) as log:
        done = sender.notify(
            title=message.title,
            body=message.markdown if form == "markdown" else message.text,
            body_format=form,
        )
        output = log.getvalue()
    if done:
        return None
    last = output.strip().splitlines()
    return last[-1] if last else "it could not be sent"


def message_format(server: Any) -> str:
    """The form of message for a service: Markdown, unless it takes text alone."""
    resolve = getattr(server, "resolve_format", None)  # apprise 2; before, it has one format
    known = map(resolve, ("text", "markdown")) if resolve else [server.notify_format]
    names = {str(getattr(one, "value", one)) for one in known}
    return "text" if names == {"text"} else "markdown"


def run(command: str, message: Message, task: dict[str, Any], redactor: Redactor) -> Iterator[str]:
    """Runs the user's command, the message on its standard input, the facts in its environment."""
    # Not VLMSWEEP_DATABASE, which marks what a supervisor may kill.
    variables = {**task["facts"], "title": message.title, "db": task["database"]}
    env = {f"VLMSWEEP_{key.upper()}": str(value) for key, value in variables.items()}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        input=f"{message.title}\n\n{message.text}".encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **env},
    )
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = f": {truncate(redactor(lines[-1]), WHY)}" if lines else ""
        yield f"the command ended with status {done.returncode}{why}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
