"""Control socket server; runs inside the supervisor's event loop and never blocks.

Requests are executed by `runner.control.dispatch`. Only the holder of the database lock may listen,
so any existing socket file is stale.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ..database.store import Store
from ..errors import VlmsweepError
from ..system.log import get_logger
from . import socket_path
from .dispatch import execute
from .protocol import LONGEST, Reply, Request, RequestError
from .registry import QueueChange

CONNECTIONS = 64

log = get_logger(__name__)


class ControlServer:
    """Listens until it is closed; the caller must run the selector.

    `on_change` is called with the effect of each request on running workers.
    """

    def __init__(self, store: Store, selector: selectors.BaseSelector | None = None) -> None:
        self.store = store
        self.selector = selector or selectors.DefaultSelector()
        self.on_change: Callable[[QueueChange], None] = lambda effect: None
        # The unread part of a request, or the unsent part of its reply.
        self.buffers: OrderedDict[socket.socket, bytearray] = OrderedDict()
        self.path: Path | None = None
        self.bound: int | None = None
        self.socket = self.listen()

    def listen(self) -> socket.socket | None:
        """Return a socket at the first usable path; None if there is none."""
        for path in socket_path.candidate_paths(self.store.path):
            if path == socket_path.path_in_tmp(
                self.store.path
            ) and not socket_path.ensure_private_folder(path.parent):
                continue
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            mask = os.umask(0o177)
            try:
                path.unlink(missing_ok=True)
                listening.bind(str(path))
                listening.listen(CONNECTIONS)
            except OSError:
                listening.close()
                continue
            finally:
                os.umask(mask)
            listening.setblocking(False)
            self.selector.register(listening, selectors.EVENT_READ, self.accept)
            self.path, self.bound = path, path.lstat().st_ino
            return listening
        return None

    def rebind_if_removed(self) -> None:
        """Listen again if the socket file was removed, for example by a cleaner of /tmp."""
        try:
            if self.path is not None and self.path.lstat().st_ino == self.bound:
                return
        except OSError:
            pass
        self.close()
        self.socket = self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and remove the socket file."""
        for connection in list(self.buffers):
            self.drop(connection)
        if self.socket is not None:
            self.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.path = None

    def poll(self) -> None:
        """Handle pending requests, for a caller that does not run its event loop yet."""
        for key, _ in self.selector.select(0):
            key.data()

    def accept(self) -> None:
        """Accept a connection."""
        assert self.socket is not None
        try:
            connection, _ = self.socket.accept()
        except OSError:
            return
        connection.setblocking(False)
        self.buffers[connection] = bytearray()
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.read(connection))
        if len(self.buffers) > CONNECTIONS:  # a client keeps them open without a request
            self.drop(next(iter(self.buffers)))

    def read(self, connection: socket.socket) -> None:
        """Read more of a request; execute it and reply once it is complete."""
        if connection not in self.buffers:  # it was dropped for another in this very turn
            return
        try:
            piece = connection.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        request = self.buffers[connection]
        request += piece
        if b"\n" not in request:
            if not piece or len(request) > LONGEST:
                self.drop(connection)
            return
        answer = self.answer(bytes(request.partition(b"\n")[0]))
        self.buffers[connection] = bytearray(answer.as_line())
        self.selector.modify(connection, selectors.EVENT_WRITE, lambda: self.send(connection))
        self.send(connection)

    def send(self, connection: socket.socket) -> None:
        """Send as much of the reply as fits; a client that reads nothing is dropped later."""
        reply = self.buffers.get(connection)
        if reply is None:
            return
        try:
            del reply[: connection.send(reply)]
        except BlockingIOError:
            return
        except OSError:
            reply.clear()
        if not reply:
            self.drop(connection)

    def answer(self, line: bytes) -> Reply:
        """Execute a request and return the reply. A bug in a handler must not end the sweep."""
        try:
            request = Request.from_line(line)
            result, effect = execute(self.store, request)
        except VlmsweepError as error:
            log.warning("request refused: %s", error.message)
            return Reply.of(error)
        except Exception as error:
            log.exception("request failed")
            return Reply.of(RequestError(f"that failed: {type(error).__name__}: {error}"))
        log.info("request %s: %s: %s", request.uid, request.action, result)
        self.on_change(effect)
        return Reply(result=result)

    def drop(self, connection: socket.socket) -> None:
        """Close a connection."""
        if self.buffers.pop(connection, None) is not None:
            self.selector.unregister(connection)
            connection.close()
