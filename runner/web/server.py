"""The process that serves: Datasette on one file, on this machine only.

It says its address, or why there is none, as a JSON line, and ends when its input does. Started
by `runner.web`, which is what Ctrl-C reaches.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn
from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm

from .. import paths, queries
from ..database.reader import Reader
from . import metadata, plugin
from .canned_queries import CannedQuery, to_canned_query
from .host_guard import HostGuardMiddleware

HOST = "127.0.0.1"
USUAL_PORT = 8001


class ReadOnlyDatabase(Database):
    """The history, opened like any reader does: any file name, read-only."""

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """A connection; a log that a supervisor writes is read with it."""
        if write:
            raise AssertionError("the history is only read here")
        uri = Path(self.path).absolute().as_uri() + "?mode=ro"
        made = sqlite3.connect(uri, uri=True, check_same_thread=False)
        made.execute("PRAGMA query_only = ON")
        self._all_file_connections.append(made)
        return made


def make_datasette(database: Path, asked: list[CannedQuery]) -> Datasette:
    """Datasette, set up for the file; with no other plugin."""
    with Reader(database) as reader:
        runs = reader.records("SELECT ifnull(max(id), 0) AS runs FROM runs")[0]["runs"]
    for other, _ in pm.list_plugin_distinfo():
        if pm.is_registered(other):
            pm.unregister(other)
    # With rich it would print a traceback of screens for a mistyped query.
    pm.get_plugin("datasette.handle_exception").rich = None
    if not pm.is_registered(plugin):
        pm.register(plugin)
    made = Datasette(
        [],
        metadata=metadata.metadata(database, asked, runs),
        settings=metadata.SETTINGS,
        template_dir=str(Path(__file__).with_name("templates")),
    )
    made.add_database(ReadOnlyDatabase(made, path=str(database)), name=metadata.NAME)
    return made


def wrap_with_guard(made: Datasette, asked: list[CannedQuery], port: int) -> HostGuardMiddleware:
    """The site, answering to its own address only."""
    defaults = {
        f"/{metadata.NAME}/{metadata.query_slug(question)}": question.defaults for question in asked
    }
    return HostGuardMiddleware(made.app(), port, f"/{metadata.NAME}", defaults)


def bind_port(port: int) -> socket.socket:
    """A socket at the port asked for; at the usual or, where that is taken, a free one for 0."""
    for candidate in [port] if port else [USUAL_PORT, 0]:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((HOST, candidate))
            made.listen()
        except OSError:
            made.close()
            if candidate == port:
                raise
        else:
            return made
    raise OSError("no port is free")


def report_to_parent(**message: Any) -> None:
    """A line for the parent."""
    print(json.dumps(message), flush=True)


def main(database: Path, port: int) -> int:
    """Serves until the parent exits or closes the pipe."""
    try:
        bound = bind_port(port)
    except OSError as error:
        reason = error.strerror or str(error)
        report_to_parent(
            error=f"cannot serve at port {port}: {reason}", hint="leave --port out for a free one"
        )
        return 1
    number = bound.getsockname()[1]
    asked = [to_canned_query(query) for query in queries.list_queries(paths.queries_folder())]
    app = wrap_with_guard(make_datasette(database, asked), asked, number)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)

    def until_alone() -> None:
        while os.read(0, 1024):
            pass
        server.should_exit = True

    threading.Thread(target=until_alone, daemon=True).start()
    report_to_parent(url=f"http://{HOST}:{number}/")
    server.run(sockets=[bound])
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
