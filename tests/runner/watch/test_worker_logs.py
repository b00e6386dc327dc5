"""Workers' logs: found by number, read from both parts, followed to the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.database.store import Store
from runner.system.timestamps import utc_now
from runner.watch import worker_logs
from tests.helpers.scripted_sweep import Sweeper
from tests.helpers.waiting import WAIT_S


def show(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["logs", *arguments, "--db", str(store.path)])


@pytest.fixture
def worker(store: Store, queued: Callable[..., int], tmp_path: Path) -> Callable[..., int]:
    """Adds a worker with a log to a sweep; returns its row's number."""

    def add(sweep: int | None = None, text: bytes = b"", **row: Any) -> int:
        sweep = sweep or queued(["a"], ["x"])
        number = store.next_worker_number(sweep)
        log = tmp_path / f"{sweep}-worker-{number}.log"
        log.write_bytes(text)
        (variant,) = store.connection.execute(
            "SELECT min(id) FROM sweep_models WHERE sweep_id = ?", [sweep]
        ).fetchone()
        worker = store.start_worker(variant, log, number)
        if row:
            store.update("workers", worker, row)
        return worker

    return add


def test_worker_is_found_by_its_number_in_the_sweep(
    store: Store, queued: Callable[..., int], worker: Callable[..., int]
) -> None:
    one, two = queued(["a"], ["x"], name="one"), queued(["b"], ["x"], name="two")
    for sweep in (one, one, two):
        worker(sweep, f"printed in {sweep}".encode())
    assert show(store).stdout == f"printed in {two}"
    assert show(store, "1").stdout == f"printed in {two}"
    result = show(store, "2", "--sweep", "one")
    assert result.stdout == f"printed in {one}"
    assert "Worker 2 of one: a, running" in result.stderr
    assert "has no worker 2" in show(store, "2").stderr
    assert show(store, "2").exit_code == 2
    assert show(store, "--sweep", "none").exit_code == 2


def test_worker_log_is_kept_in_two_parts(sweep: Sweeper) -> None:
    done = sweep(["a"], ["fill log"])
    (row,) = done.workers
    whole = show(done.store, "1").stdout.splitlines()
    assert Path(row["log_path"] + ".1").exists()
    numbers = [int(line) for line in whole if len(line) == 99]
    assert numbers == list(range(numbers[0], 600_000))
    assert numbers[0] > 0
    assert [int(n) for n in show(done.store, "-n", "2").stdout.split()] == [599_998, 599_999]
    Path(row["log_path"]).unlink()
    Path(row["log_path"] + ".1").unlink()
    assert "is gone" in show(done.store, "1").stderr


def test_stack_of_a_killed_worker_is_shown(store: Store, worker: Callable[..., int]) -> None:
    worker(stack="File x.py, line 1\n\x1b[2J", killed_for="run_s")
    result = show(store, "--stack")
    assert result.stdout == "File x.py, line 1\n\ufffd[2J"
    worker(ended_at=utc_now())
    assert "it was not killed" in show(store, "--stack").stderr


def test_log_of_a_moved_database_is_found(
    store: Store, worker: Callable[..., int], tmp_path: Path
) -> None:
    worker(log_path="/somewhere/else/worker-1.log")
    (uid,) = store.connection.execute("SELECT uid FROM sweeps").fetchone()
    (store.folder(f"logs/{uid}") / "worker-1.log").write_text("moved along")
    assert show(store).stdout == "moved along"


def test_following_continues_across_log_rotation(
    store: Store, worker: Callable[..., int], tmp_path: Path
) -> None:
    number = worker(text=b"old\nfirst\n")
    log = Path(store.connection.execute("SELECT log_path FROM workers").fetchone()[0])
    got: list[bytes] = []
    step = threading.Condition()

    def read() -> None:
        for line in worker_logs.follow(log, 1, store.path, number):
            with step:
                got.append(line)
                step.notify()

    def until(line: bytes) -> None:
        with step:
            assert step.wait_for(lambda: line in got, WAIT_S), got

    reader = threading.Thread(target=read)
    reader.start()
    until(b"first\n")
    with log.open("ab") as file:
        file.write(b"second\n")
    until(b"second\n")
    with log.open("ab") as file:
        file.write(b"the last of the part\n")
    log.rename(log.with_name(log.name + ".1"))
    log.write_bytes(b"third\n")
    until(b"third\n")
    with log.open("ab") as file:
        file.write(b"last words\n")
    store.update("workers", number, {"ended_at": utc_now()})
    reader.join(WAIT_S)
    assert not reader.is_alive()
    assert got == [b"first\n", b"second\n", b"the last of the part\n", b"third\n", b"last words\n"]


def test_following_ends_when_the_supervisor_is_gone(
    store: Store, worker: Callable[..., int]
) -> None:
    worker(text=b"last words\n")
    store.close()  # its lock with it, as when the supervisor is killed
    assert show(store, "-f").stdout == "last words\n"


def test_log_output_has_no_control_characters() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"\x1b[31mred\x1b[0m \x1b]0;title\x07and \xff"
        yield b"more\r\n 10%|#  |\r100%|###|\n\x9b2J\x1b"
        yield b"[Hend"

    lines = list(worker_logs.terminal_lines(pieces()))
    assert lines == ["red and \ufffdmore\n", "100%|###|\n", "\ufffd2Jend\n"]
