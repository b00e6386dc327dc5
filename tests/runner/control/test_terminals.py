"""Several terminals at once: real supervisors, real commands, scripted workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.control import socket_path
from runner.control.client import send_request
from runner.control.protocol import Reply, Request, RequestError
from runner.control.registry import QueueChange
from runner.control.server import ControlServer
from runner.database.file_names import files_folder
from runner.database.store import Store
from runner.errors import BusyError
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S, wait_until

# `vlmsweep start` with scripted workers.
START = """
import sys
from pathlib import Path
from runner import api
from runner.supervisor.resources import SupervisorLimits
from tests.helpers.scripted_sweep import FakeLauncher
api.work_queue(Path(sys.argv[1]), lambda event: print(event.event, flush=True),
               SupervisorLimits(stay=True), FakeLauncher())
"""


class Terminals:
    """A folder with a database, models and prompts, and commands run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, folder / "q.db"
        self.gate = folder / "gate"
        (folder / "good").mkdir()

    def vlmsweep(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "runner", *words, "--db", str(self.database)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=WAIT_S,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def add(self, name: str, *prompts: str, **more: str) -> None:
        asked = [{"text": text, "images": "none"} for text in prompts]
        limits = dict.fromkeys(("first_token_s", "run_s", "silence_s"), 2 * WAIT_S)
        sweep = {"name": name, "models": ["./good"], "prompts": asked, "limits": limits}
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(sweep))
        options = [word for key, value in more.items() for word in (f"--{key}", value)]
        self.vlmsweep("queue", "add", str(file), *options)

    def states(self) -> dict[str, str]:
        rows = json.loads(self.vlmsweep("queue", "--json"))
        return {row["name"]: row["state"] for row in rows}

    def ask(self, sql: str) -> list[Any]:
        with sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True) as connection:
            return connection.execute(sql).fetchall()

    def outcomes(self, name: str) -> list[str | None]:
        rows = self.ask("SELECT sweep, outcome FROM results ORDER BY job_id")
        return [outcome for sweep, outcome in rows if sweep == name]

    def until(self, true: Callable[[], bool], seconds: float = WAIT_S) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.ask("SELECT sweep, outcome FROM results")
            time.sleep(0.02)


@pytest.fixture
def terminals(tmp_path: Path) -> Terminals:
    return Terminals(tmp_path)


@pytest.fixture
def supervisor(terminals: Terminals) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts `vlmsweep start` on the terminals' database."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", START, str(terminals.database)]
        started.append(subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, text=True))
        return started[-1]

    yield begin
    terminals.gate.touch()
    for process in started:
        process.terminate()
        process.wait(timeout=WAIT_S)


@pytest.mark.slow
def test_queue_is_controlled_from_two_terminals(
    terminals: Terminals, supervisor: Callable[[], subprocess.Popen[str]]
) -> None:
    """Three sweeps queued, reordered, one cancelled in mid-run, one paused, jobs retried."""
    handle = f"until {terminals.gate}"
    for name, prompts in (("x", [handle, "b"]), ("y", ["c", "error"]), ("z", [handle, "d"])):
        terminals.add(name, *prompts)
    assert list(terminals.states()) == ["x", "y", "z"]
    terminals.vlmsweep("queue", "move", "z", "--first")
    assert list(terminals.states()) == ["z", "x", "y"]
    terminals.vlmsweep("queue", "pause", "x")
    assert terminals.states()["x"] == "paused"

    process = supervisor()
    terminals.until(lambda: terminals.states().get("z") == "running")
    terminals.until(lambda: bool(terminals.ask("SELECT 1 FROM jobs WHERE state = 'running'")))
    assert "1 run killed" in terminals.vlmsweep("queue", "cancel", "z")
    terminals.until(lambda: "z" not in terminals.states())
    assert terminals.ask("SELECT killed_for FROM workers ORDER BY id LIMIT 1") == [("cancelled",)]
    assert terminals.outcomes("z") == ["skipped", "skipped"]

    terminals.until(lambda: terminals.outcomes("y") == ["ok", "error"])
    assert terminals.states() == {"x": "paused"}
    assert "1 job queued again" in terminals.vlmsweep("queue", "retry", "y")
    terminals.until(lambda: bool(terminals.ask("SELECT 1 FROM runs WHERE attempt = 2")))

    terminals.vlmsweep("queue", "resume", "x")
    terminals.until(lambda: terminals.states().get("x") == "running")
    terminals.gate.touch()
    terminals.until(lambda: terminals.states() == {})
    assert terminals.outcomes("x") == ["ok", "ok"]
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=WAIT_S) == 0
    assert not any(place.exists() for place in socket_path.candidate_paths(terminals.database))


@pytest.mark.slow
def test_sweep_added_to_a_running_supervisor_is_run(
    terminals: Terminals, supervisor: Callable[[], subprocess.Popen[str]]
) -> None:
    terminals.add("x", "a")
    supervisor()
    terminals.until(lambda: terminals.outcomes("x") == ["ok"])
    terminals.add("y", "b")
    terminals.until(lambda: terminals.outcomes("y") == ["ok"])
    assert list((terminals.folder / "q.db.files" / "queue").iterdir()) == []


@pytest.mark.slow
def test_killed_supervisor_keeps_the_queue(
    terminals: Terminals, supervisor: Callable[[], subprocess.Popen[str]]
) -> None:
    terminals.add("x", f"until {terminals.gate}", "b")
    terminals.add("y", "c")
    process = supervisor()
    terminals.until(lambda: bool(terminals.ask("SELECT 1 FROM jobs WHERE state = 'running'")))
    process.kill()
    process.wait()
    terminals.vlmsweep("queue", "move", "y", "--first")  # nobody works: the file itself
    assert terminals.states() == {"y": "queued", "x": "queued"}
    terminals.gate.touch()
    supervisor()
    terminals.until(lambda: terminals.states() == {})
    assert terminals.outcomes("x") == ["ok", "ok"]
    attempts = terminals.ask("SELECT attempt, outcome FROM runs ORDER BY id")
    assert attempts == [(1, "interrupted"), (1, "ok"), (2, "ok"), (1, "ok")]


@pytest.mark.slow
def test_targets_are_found_or_reported(terminals: Terminals) -> None:
    terminals.add("night", "a")
    assert "did you mean night" in terminals.vlmsweep("queue", "pause", "nigth", fails=True)
    assert "no model 'goood'" in terminals.vlmsweep(
        "queue", "pause", "night", "--model", "goood", fails=True
    )
    assert "no target" in terminals.vlmsweep("queue", "cancel", fails=True)
    assert "no sweep is called '2'" in terminals.vlmsweep("queue", "cancel", "2", fails=True)
    assert "no job 99" in terminals.vlmsweep("queue", "cancel", "--job", "99", fails=True)
    assert "where to?" in terminals.vlmsweep("queue", "move", "night", fails=True)


def test_socket_is_private_to_its_user(store: Store) -> None:
    with ControlServer(store) as listener:
        assert listener.path is not None
        assert stat.S_IMODE(listener.path.stat().st_mode) & 0o177 == 0


def test_long_database_path_uses_another_socket_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    store = Store(folder / "q.db")
    with ControlServer(store) as listener:
        assert listener.path == socket_path.path_in_tmp(store.path)
        assert stat.S_IMODE(listener.path.parent.stat().st_mode) == 0o700
    store.close()


def test_socket_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    assert not socket_path.ensure_private_folder(tmp_path / "open")
    assert not socket_path.ensure_private_folder(tmp_path / "link")
    assert socket_path.ensure_private_folder(tmp_path / "new")


def speaking(listener: ControlServer, request_line: bytes) -> bytes:
    """Returns the listener's reply to bytes, in this thread."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(listener.path))
        connection.sendall(request_line)
        for _ in range(3):
            listener.poll()
        connection.settimeout(1)
        return connection.recv(65_536)


@pytest.mark.parametrize(
    "request_line",
    [b"\n", b"nonsense\n", b"[]\n", b'{"action": 1}\n', b"\x00\xff\n", b"[" * 5000 + b"\n"],
)
def test_malformed_requests_are_answered(store: Store, request_line: bytes) -> None:
    with ControlServer(store) as listener:
        with pytest.raises(RequestError, match="malformed request"):
            Reply.from_line(speaking(listener, request_line)).unwrap()
        unknown = Request("unheard of", {}).as_line()
        with pytest.raises(RequestError, match="no action"):
            Reply.from_line(speaking(listener, unknown)).unwrap()


def test_oversized_and_silent_clients_are_disconnected(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.control.server.LONGEST", 1000)
    monkeypatch.setattr("runner.control.server.CONNECTIONS", 3)
    with ControlServer(store) as listener:
        assert speaking(listener, b"x" * 5000) == b""
        held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(6)]
        for connection in held:
            connection.connect(str(listener.path))
            listener.poll()
        assert len(listener.buffers) == 3
        for connection in held:
            connection.close()


def test_client_that_does_not_read_its_reply_delays_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "runner.control.server.execute", lambda *_: ({"text": "x" * 5_000_000}, QueueChange())
    )
    with ControlServer(store) as listener:
        unread = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unread.connect(str(listener.path))
        unread.sendall(Request("pause", {}).as_line())
        wait_until(lambda: listener.poll() or any(listener.buffers.values()))
        assert b"nonsense" not in speaking(listener, b"nonsense\n")  # answered meanwhile
        received = bytearray()
        unread.setblocking(False)

        def whole() -> bool:
            listener.poll()
            with contextlib.suppress(BlockingIOError):
                received.extend(unread.recv(1 << 20))
            return received.endswith(b"\n")

        wait_until(whole)
        assert len(Reply.from_line(bytes(received)).unwrap()["text"]) == 5_000_000
        unread.close()
        assert not listener.buffers


def test_client_dropped_for_another_in_the_same_turn_is_no_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.control.server.CONNECTIONS", 2)
    with ControlServer(store) as listener:
        held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]
        for connection in held[:2]:
            connection.connect(str(listener.path))
            listener.poll()
        held[2].connect(str(listener.path))
        held[0].sendall(b"half a requ")
        listener.poll()
        assert len(listener.buffers) == 2
        for connection in held:
            connection.close()


@pytest.mark.parametrize("number", ["1e999", "[]", "null", "9" * 30, '"x"', "true"])
def test_invalid_numbers_are_answered(store: Store, number: str) -> None:
    request_line = (
        f'{{"action": "pause", "uid": "u", "arguments": {{"level": "job", "id": {number}}}}}\n'
    )
    with ControlServer(store) as listener:
        reply = Reply.from_line(speaking(listener, request_line.encode()))
        assert reply.message is not None or reply.result == {"changed": 0}


def test_aliases_of_a_database_share_supervisor_and_socket(store: Store, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(store.path)
    (tmp_path / "there").symlink_to(tmp_path)
    for other in (link, tmp_path / "there" / store.path.name):
        with pytest.raises(BusyError):
            Store(other)
        assert socket_path.candidate_paths(other) == socket_path.candidate_paths(store.path)
        assert files_folder(other) == files_folder(store.path)
    store.close()
    again = Store(link)
    assert again.path == store.path
    again.close()


def test_unresponsive_lock_holder_is_reported(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is held, by this very process, and nobody listens."""
    monkeypatch.setattr("runner.control.client.TIMEOUT_S", 0.1)
    with pytest.raises(BusyError, match="does not answer"):
        send_request(store.path, "pause", {"level": "sweep", "id": 1})


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    database = tmp_path / "q.db"
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path = socket_path.path_beside_database(database) or socket_path.path_in_tmp(database)
    stale.bind(os.fspath(path))
    stale.close()
    Store(database).close()
    assert send_request(database, "pause", {"level": "sweep", "id": 1}) == {"changed": 0}


@pytest.mark.slow
def test_sweep_without_runnable_jobs_is_stored_as_finished(terminals: Terminals) -> None:
    asked = [{"text": "what", "images": "none"}]
    sweep = {"models": ["./good"], "prompts": asked}
    sweep["exclude"] = [{"model": "./good", "reason": "why not"}]
    file = terminals.folder / "none.json"
    file.write_text(json.dumps(sweep))
    assert "nothing to run" in terminals.vlmsweep("queue", "add", str(file))
    assert terminals.states() == {}
