"""Asks for a change of the queue: of the supervisor that runs, or, where none does, of the file.

Blocks until the answer is there. Exactly one of the two writes: who holds the database's lock.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from schemas.stream import EventSink

from ..database.open_store import open_store
from ..errors import BusyError
from . import socket_path
from .dispatch import execute
from .protocol import Reply, Request

TIMEOUT_S = 30.0
REPLY_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 0.05


def send_request(
    database: Path, action: str, arguments: dict[str, Any], emit: EventSink = lambda event: None
) -> dict[str, Any]:
    """What came of an action. Raises RequestError, and DatabaseError when nobody answers.

    `tell` hears what a dead supervisor left, if that had to be put right first.
    """
    request = Request(action, arguments)
    until = time.monotonic() + TIMEOUT_S
    while True:
        if (reply := request_over_socket(database, request)) is not None:
            return reply.unwrap()
        try:
            with open_store(database, emit) as store:
                return execute(store, request)[0]
        except BusyError:  # by one that does not listen yet, or not any more
            if time.monotonic() > until:
                raise BusyError(
                    f"another vlmsweep is working on {database} and does not answer",
                    hint="it may be an older one, or be stopped; when it has ended, ask again",
                ) from None
        time.sleep(POLL_INTERVAL_S)


def request_over_socket(database: Path, request: Request) -> Reply | None:
    """The supervisor's reply; None when none listens, or it went away before it replied."""
    for path in socket_path.candidate_paths(database):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(REPLY_TIMEOUT_S)
            try:
                connection.connect(str(path))
                connection.sendall(request.as_line())
                said = bytearray()
                while not said.endswith(b"\n"):
                    piece = connection.recv(65_536)
                    if not piece:
                        break
                    said += piece
                return Reply.from_line(bytes(said))
            except (OSError, ValueError, TypeError):
                continue
    return None
