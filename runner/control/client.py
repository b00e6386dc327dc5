"""Client: sends a request to the running supervisor, or executes it on the database.

Blocks until the reply arrives. Only the holder of the database lock writes.
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
    """Send a request and return its result. Raises RequestError, and DatabaseError without a reply.

    `emit` receives the events of a recovery, if a supervisor has crashed before.
    """
    request = Request(action, arguments)
    until = time.monotonic() + TIMEOUT_S
    while True:
        if (reply := request_over_socket(database, request)) is not None:
            return reply.unwrap()
        try:
            with open_store(database, emit) as store:
                return execute(store, request)[0]
        except BusyError:  # its holder does not listen yet, or has stopped
            if time.monotonic() > until:
                raise BusyError(
                    f"another vlmsweep is working on {database} and does not answer",
                    hint="it may be an older one, or be stopped; when it has ended, ask again",
                ) from None
        time.sleep(POLL_INTERVAL_S)


def request_over_socket(database: Path, request: Request) -> Reply | None:
    """Return the supervisor's reply; None if none listens, or it exited before it replied."""
    for path in socket_path.candidate_paths(database):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(REPLY_TIMEOUT_S)
            try:
                connection.connect(str(path))
                connection.sendall(request.as_line())
                received = bytearray()
                while not received.endswith(b"\n"):
                    piece = connection.recv(65_536)
                    if not piece:
                        break
                    received += piece
                return Reply.from_line(bytes(received))
            except (OSError, ValueError, TypeError):
                continue
    return None
