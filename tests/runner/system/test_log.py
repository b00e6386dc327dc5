"""The supervisor's log: silent by default, never in the event loop's way, without secrets."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.errors import VlmsweepError
from runner.system import log
from tests.helpers.scripted_sweep import Sweeper

NAME = "runner.test"


class BlockedHandler(logging.Handler):
    """A log on a disk that hangs until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.released.wait(60)
        self.lines.append(self.format(record))


def test_nothing_is_logged_by_default() -> None:
    code = (
        "from runner.system.log import get_logger\nget_logger('runner.test').error('nobody asked')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_file_gets_records_of_the_level_and_above(tmp_path: Path) -> None:
    file = tmp_path / "supervisor.log"
    logger = log.get_logger(NAME)
    with log.log_to(log.open_target(file), "info"):
        logger.debug("too fine")
        logger.info("worker %d started", 3)
        logger.warning("two\nlines")
    logger.error("afterwards")
    first, second, continued = file.read_text().splitlines()
    assert first.endswith("Z INFO runner.test: worker 3 started")
    assert second.endswith("Z WARNING runner.test: two")
    assert continued == "    lines"


def test_secrets_do_not_reach_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    file = tmp_path / "supervisor.log"
    with log.log_to(log.open_target(file), "info"):
        log.get_logger(NAME).info("server said: bad key %s", "correct-horse-battery")
    assert "bad key [secret]" in file.read_text()


def test_slow_disk_blocks_nothing_and_lost_records_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "QUEUE_RECORDS", 5)
    target, logger = BlockedHandler(), log.get_logger(NAME)
    with log.log_to(target, "info"):
        for number in range(100):  # would wait 60 s for the first, were it written here
            logger.info("record %d", number)
        target.released.set()
        while not any("record 4" in line for line in target.lines):
            pass
        logger.info("the last")
    assert any("records were dropped" in line for line in target.lines)
    assert target.lines[-1].endswith("the last")
    assert len(target.lines) < 20


def test_exit_does_not_wait_for_a_hung_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "STOP_TIMEOUT_S", 0.05)
    target = BlockedHandler()
    with log.log_to(target, "info"):
        log.get_logger(NAME).info("never written in time")
    assert target.lines == []
    target.released.set()


def test_full_disk_is_reported_once_and_stops_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with log.log_to(log.open_target(Path("/dev/full")), "info"):
        for number in range(3):
            log.get_logger(NAME).info("record %d", number)
    assert capfd.readouterr().err.count("cannot write the log /dev/full") == 1


def test_log_that_cannot_be_opened_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(VlmsweepError, match="cannot write the log") as caught:
        log.open_target(tmp_path)
    assert caught.value.hint is not None


def test_command_line_logs_to_the_file_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "supervisor.log"
    monkeypatch.setenv("VLMSWEEP_LOG", str(file))
    argv = ["start", "--drain", "--allow-sleep", "--log-level", "debug"]
    argv += ["--db", str(tmp_path / "q.db")]
    done = CliRunner().invoke(cli, argv)
    assert done.exit_code == 0, done.output
    assert file.exists()
    monkeypatch.setenv("VLMSWEEP_LOG", str(tmp_path))
    refused = CliRunner().invoke(cli, argv)
    assert (refused.exit_code, "cannot write the log" in refused.output) == (2, True)


def test_decisions_of_the_supervisor_are_logged(
    sweep: Sweeper, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="runner")
    limits = {"load_s": 20, "first_token_s": 1, "run_s": 2, "silence_s": 1, "retries": 0}
    sweep(["good"], ["a", "hang"], limits=limits)
    text = caplog.text
    for part in (
        "worker 1 started: good, pid ",
        "worker 1 loaded good in ",
        "killing worker 1: first_token_s in phase prefill",
        "timeout: ",
        "; retried: False, fallback: None",
        "worker 1 exited: SIGKILL",
        "ended: done",
    ):
        assert part in text, part
