"""`vlmsweep doctor`: its findings are correct, and problems are lines, not tracebacks."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner import doctor
from runner.cli import cli
from runner.database import lock
from runner.database.reader import connect
from runner.database.store import Store
from runner.doctor import kill_checks, measurement_checks, models, storage, view
from runner.doctor.check import Check
from runner.errors import DatabaseError
from runner.process import launcher
from runner.system import counters
from schemas.engines import engine_info
from tests.helpers.paths import ROOT

LINUX = sys.platform == "linux"


def states(checks: list[Check]) -> dict[str, str]:
    return {check.check: check.state for check in checks}


def looked_at(database: Path) -> dict[str, Check]:
    """Checks of a database and its folder, by name."""
    return {check.check: check for check in doctor.guarded("store", lambda: probe(database))}


def probe(database: Path) -> Iterator[Check]:
    return storage.storage_checks(database)


@pytest.mark.slow
def test_doctor_json_has_the_documented_keys_and_no_secret(tmp_path: Path) -> None:
    secret = "hf_thismustnevershow"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_TOKEN": secret, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "runner", "doctor", "--json", "--db", str(tmp_path / "x.db")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    rows = json.loads(done.stdout)
    assert done.returncode == 0, rows
    assert {tuple(row) for row in rows} == {("area", "check", "state", "detail")}
    assert {row["state"] for row in rows} <= {"ok", "unavailable", "problem"}
    assert {row["area"] for row in rows} == {"kill", "measure", "store", "models", "environment"}
    assert secret not in done.stdout + done.stderr
    assert "a token is set" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_doctor_prints_csv_and_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Check("kill", "pidfd", "ok", "yes"), Check("store", "disk", "problem", "full")]
    monkeypatch.setattr(doctor, "run_checks", lambda *_: found)
    result = CliRunner().invoke(cli, ["doctor", "--csv"])
    assert result.stdout == "area,check,state,detail\nkill,pidfd,ok,yes\n" + (
        "store,disk,problem,full\n"
    )
    assert result.exit_code == 1
    people = CliRunner().invoke(cli, ["doctor"]).stdout
    assert "Storing results\nproblem      disk   full\n" in people
    assert people.endswith("1 ok, 0 unavailable, 1 problem\n")


def test_details_are_wrapped_and_not_truncated() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    detail = " ".join(f"word{i}" for i in range(60))
    out = Terminal()
    view.draw_checks([Check("kill", "pidfd", "ok", detail)], out)
    assert "word59" in out.getvalue()
    assert "…" not in out.getvalue()


# Killing.


@pytest.mark.skipif(not LINUX, reason="Linux's own mechanisms")
def test_linux_mechanisms_are_verified() -> None:
    found = states(list(kill_checks.kill_checks()))
    for check in ("orphans adopted", "kill of a whole tree", "supervisor dies", "shim itself dies"):
        assert found[check] == "ok", found
    assert found["pidfd"] == "ok"


def test_failing_kill_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "    def kill(self) -> int:\n"
    broken = tmp_path / "broken_shim.py"
    text = launcher.SHIM.read_text().replace(
        head, f"{head}        return 0\n\n    def unused(self):\n"
    )
    broken.write_text(text)
    monkeypatch.setattr(launcher, "SHIM", broken)
    monkeypatch.setattr(kill_checks, "GONE_S", 0.5)
    found = states(list(kill_checks.kill_checks()))
    assert found["kill of a whole tree"] == found["supervisor dies"] == "problem"


def test_worker_that_does_not_start_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_checks.faults, "__file__", "/nowhere/faults.py")
    monkeypatch.setattr(kill_checks, "UP_S", 0.5)
    found = list(kill_checks.kill_checks())
    assert not doctor.healthy(found)
    assert states(found)["supervisor dies"] == "problem"


# The database and its place.


def test_sound_database_passes(tmp_path: Path) -> None:
    Store(tmp_path / "x.db").close()
    found = looked_at(tmp_path / "x.db")
    assert found["database"].state == "ok", found["database"]
    assert "quick_check ok" in found["database"].detail
    assert found["write-ahead log"].state == "ok"


def test_foreign_or_damaged_database_is_a_problem(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    (tmp_path / "noise.db").write_bytes(b"noise" * 5000)
    (tmp_path / "folder.db").mkdir()
    for name in ("foreign.db", "noise.db", "folder.db"):
        found = looked_at(tmp_path / name)["database"]
        assert found.state == "problem", found
    assert "some other program" in looked_at(tmp_path / "foreign.db")["database"].detail


def test_damaged_page_is_found(tmp_path: Path) -> None:
    Store(tmp_path / "x.db").close()
    data = bytearray((tmp_path / "x.db").read_bytes())
    for page in range(4, len(data) // 4096):
        data[page * 4096 : page * 4096 + 100] = b"\xee" * 100
    (tmp_path / "x.db").write_bytes(data)
    found = looked_at(tmp_path / "x.db")["database"]
    assert found.state == "problem", found


@pytest.mark.slow
def test_unwritable_folders_are_problems(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    places = [tmp_path / "file" / "x.db"]
    if LINUX:
        places.append(Path("/proc/x.db"))
    for place in places:
        assert looked_at(place)["write-ahead log"].state == "problem", place
        result = CliRunner().invoke(cli, ["doctor", "--json", "--db", str(place)])
        assert result.exit_code == 1
        json.loads(result.stdout)


def test_full_disk_is_a_problem(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    if not LINUX or os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        found = looked_at(tmp_path / "x.db")
        assert found["disk"].state == found["write-ahead log"].state == "problem"
        assert "full" in found["write-ahead log"].detail
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((3, 53, 0), False),
    ],
)
def test_sqlite_versions_with_the_wal_reset_bug(version: tuple[int, ...], has: bool) -> None:
    assert storage.has_wal_reset_bug(version) is has
    assert (storage.wal_reset(version).state == "ok") is not has


def test_readers_cannot_checkpoint(tmp_path: Path) -> None:
    """The premise of the WAL-reset check: a reader cannot checkpoint."""
    store = Store(tmp_path / "x.db")  # it stays open, and its log with it
    log = tmp_path / "x.db-wal"
    assert log.stat().st_size > 0
    whole = (tmp_path / "x.db").read_bytes()
    with closing(connect(tmp_path / "x.db")) as reader, pytest.raises(sqlite3.OperationalError):
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert log.stat().st_size > 0
    assert (tmp_path / "x.db").read_bytes() == whole
    store.close()


def test_detectable_timing_interference_is_listed(monkeypatch) -> None:
    monkeypatch.setattr(counters, "slept_s", lambda: 1.0)
    monkeypatch.setattr(counters, "thermal_throttle_count", lambda: None)
    check = measurement_checks.check_interference_counters()
    assert check.state == "ok"
    active, _, rest = check.detail.partition("; ")
    assert "sleep" in active
    assert "slowing for heat" in rest
    for name in measurement_checks.INTERFERENCE_COLUMNS:
        function = "thermal_throttle_count" if "throttles" in name else name
        monkeypatch.setattr(counters, function, lambda: None)
    assert measurement_checks.check_interference_counters().state == "unavailable"


def test_process_using_the_database_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = Store(path)
    check = looked_at(path)["one supervisor"]
    assert (check.state, f"process {os.getpid()} uses" in check.detail) == ("ok", True)
    with pytest.raises(DatabaseError, match=rf"another vlmsweep \(process {os.getpid()}\)"):
        Store(path)
    (tmp_path / "x.db.lock").write_text("nonsense")
    assert "an unknown process" in looked_at(path)["one supervisor"].detail
    store.close()
    assert "no supervisor uses" in looked_at(path)["one supervisor"].detail
    (tmp_path / "x.db.lock").unlink(missing_ok=True)
    assert "no supervisor uses" in looked_at(path)["one supervisor"].detail


def test_pid_of_an_exited_process_is_ignored(tmp_path: Path) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    (tmp_path / "x.db.lock").write_text(f"{done.pid}\n")
    assert lock.lock_owner_pid(tmp_path / "x.db") is None


def test_newer_schema_is_reported(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db")
    store.connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('vlmsweep', 'm999_future', '')"
    )
    store.close()
    check = looked_at(tmp_path / "x.db")["database"]
    assert (check.state, "newer vlmsweep (m999_future)" in check.detail) == ("problem", True)


# Models and devices.


def test_device_query_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "version", lambda _: "1")
    monkeypatch.setattr(models, "DEVICES_S", 0.5)
    engine = replace(engine_info("transformers"), device_program="import time; time.sleep(60)")
    assert "did not answer" in models.device(engine).detail
    monkeypatch.setattr(models, "DEVICES_S", 20)
    engine = replace(
        engine_info("transformers"), device_program="raise ImportError('libcuda is gone')"
    )
    assert models.device(engine).state == "problem"
    assert "libcuda is gone" in models.device(engine).detail
    engine = replace(engine_info("transformers"), device_program="print('[\"cpu\"]')")
    assert models.device(engine) == Check("models", "devices of torch", "ok", "cpu")


def test_missing_engines_are_a_problem() -> None:
    missing = {"transformers": ["torch"], "mlx": ["mlx"], "openai": []}
    found = list(models.engine_checks(missing))
    assert states(found)["engine mlx"] == "unavailable"
    assert not doctor.healthy(found)
    assert doctor.healthy(models.engine_checks(missing | {"mlx": []}))


def test_failing_check_does_not_hide_others() -> None:
    def breaks() -> Iterator[Check]:
        yield Check("kill", "first", "ok", "")
        raise RuntimeError("broken")

    first, rest = doctor.guarded("kill", breaks)
    assert (first.check, rest.state) == ("first", "problem")
    assert "broken" in rest.detail
