"""A path that cannot be the database is refused before any other work, and nothing is created."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import api
from runner.cli import cli
from runner.database.store import Store
from runner.database.usable import check_usable
from runner.errors import BusyError, DatabaseError
from runner.planning import request
from runner.planning.plan import Plan
from runner.system import disk

ROOT = Path(__file__).resolve().parents[3]


def foreign(folder: Path) -> Path:
    path = folder / "foreign.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    return path


def garbage(folder: Path) -> Path:
    path = folder / "notes.db"
    path.write_bytes(b"dear diary " * 500)
    return path


def newer(folder: Path) -> Path:
    path = folder / "newer.db"
    store = Store(path)
    store.connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('vlmsweep', 'm999_future', '')"
    )
    store.close()
    return path


BAD: dict[str, Callable[[Path], Path]] = {
    "foreign": foreign,
    "garbage": garbage,
    "newer": newer,
    "control characters": lambda folder: folder / "a\x1bb.db",
    "below a file": lambda folder: garbage(folder) / "x.db",
}
if sys.platform == "linux":
    BAD |= {
        "procfs": lambda _: Path("/proc/x.db"),
        "sysfs": lambda _: Path("/sys/folder/of/none/x.db"),
    }


def files(folder: Path) -> list[Path]:
    """All files but those that any reader of a database leaves."""
    return sorted(file for file in folder.rglob("*") if not file.name.endswith(("-wal", "-shm")))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan whose preflight must not begin."""

    def begun(*_: Any, **__: Any) -> Any:
        raise AssertionError("the database was not checked first")

    monkeypatch.setattr(api, "resolve_environments", begun)
    monkeypatch.setattr(api.preflight, "run_preflight", begun)
    image = str(ROOT / "images" / "circle.png")
    return request.build_plan(request.SweepRequest(models=("demo",), images=(image,)))


@pytest.mark.parametrize("kind", BAD)
def test_unusable_database_is_refused_before_the_preflight(
    kind: str, plan: Plan, tmp_path: Path
) -> None:
    path = BAD[kind](tmp_path)
    there = files(tmp_path)
    with pytest.raises(DatabaseError) as of_run:
        api.run(plan, path, lambda _: None)
    with pytest.raises(DatabaseError) as of_queue:
        api.enqueue(plan, path, lambda _: None, {})
    assert of_run.value.message == of_queue.value.message
    assert "--db" in (of_run.value.hint or "")
    assert files(tmp_path) == there


@pytest.mark.parametrize("kind", BAD)
def test_opening_refuses_what_the_check_refuses(kind: str, tmp_path: Path) -> None:
    path = BAD[kind](tmp_path)
    for use in (check_usable, Store):
        with pytest.raises(DatabaseError):
            use(path)


def test_database_in_use_is_refused_for_a_run_before_the_preflight(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "LOCK_WAIT_S", 0.1)
    with closing(Store(tmp_path / "h.db")) as store:
        with pytest.raises(BusyError, match="another vlmsweep"):
            api.run(plan, store.path, lambda _: None)
        with pytest.raises(AssertionError, match="not checked first"):
            api.enqueue(plan, store.path, lambda _: None, {})  # goes on to the preflight


def test_usable_paths_pass_and_nothing_is_created(tmp_path: Path) -> None:
    check_usable(tmp_path / "new" / "folder" / "h.db")
    (tmp_path / "empty.db").touch()
    check_usable(tmp_path / "empty.db")
    assert [path.name for path in tmp_path.rglob("*")] == ["empty.db"]
    Store(tmp_path / "h.db").close()
    check_usable(tmp_path / "h.db")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("command", ["run", "queue add", "plan --strict", "start", "import x.zip"])
def test_command_prints_the_database_error_only(command: str, tmp_path: Path) -> None:
    words = command.split()
    if words[0] in ("run", "queue", "plan"):
        words += ["-m", "demo", "-i", str(ROOT / "images" / "circle.png")]
    done = CliRunner().invoke(cli, [*words, "--db", "/proc/x.db"])
    assert done.exit_code == (2 if words[0] == "plan" else 3)
    assert "cannot use /proc/x.db as a database: no file can be created" in done.output
    assert "are free" not in done.output


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_free_space_of_a_kernel_folder_is_unknown(tmp_path: Path) -> None:
    assert disk.free_bytes(Path("/proc/x.db")) is None
    assert disk.free_bytes(tmp_path / "not" / "there") is not None
