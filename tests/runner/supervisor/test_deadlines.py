"""Deadlines by phase, with a clock that is only a number."""

from __future__ import annotations

import pytest

from runner.supervisor.deadlines import STOP_S, DeadlineMonitor
from schemas.sweep import Limits

LIMITS = Limits(
    download_s=100, load_s=10, first_token_s=5, run_s=20, silence_s=3, memory_bytes=1000
)


@pytest.fixture
def watch() -> DeadlineMonitor:
    return DeadlineMonitor(LIMITS, now=0)


def test_load_and_download_have_separate_deadlines(watch: DeadlineMonitor) -> None:
    assert watch.next_deadline() == 10
    watch.enter_phase("download", 4)
    assert watch.next_deadline() == 104
    assert watch.check(50) is None
    watch.enter_phase("load", 60)
    assert watch.next_deadline() == 70
    breach = watch.check(70)
    assert breach is not None
    assert (breach.limit, breach.phase) == ("load_s", "load")
    assert "10 s" in breach.message


def test_heartbeats_do_not_extend_the_load_deadline(watch: DeadlineMonitor) -> None:
    watch.enter_phase("load", 1)
    watch.on_event(10, progress=True)
    assert watch.check(11) is not None


def test_prefill_needs_no_heartbeat(watch: DeadlineMonitor) -> None:
    watch.enter_phase("idle", 1)
    watch.enter_phase("prefill", 2)
    assert watch.check(6.9) is None
    breach = watch.check(7)
    assert breach is not None
    assert breach.limit == "first_token_s"


def test_only_text_counts_as_progress_while_generating(watch: DeadlineMonitor) -> None:
    watch.enter_phase("prefill", 0)
    watch.enter_phase("generate", 1)
    watch.on_event(3, progress=True)
    watch.on_event(5, progress=False)
    assert watch.check(5.9) is None
    breach = watch.check(6)
    assert breach is not None
    assert (breach.limit, breach.phase) == ("silence_s", "generate")


def test_run_deadline_holds_despite_progress(watch: DeadlineMonitor) -> None:
    watch.enter_phase("prefill", 0)
    watch.enter_phase("generate", 1)
    for second in range(2, 20):
        watch.on_event(second, progress=True)
        assert watch.check(second) is None
    watch.on_event(20, progress=True)
    breach = watch.check(20)
    assert breach is not None
    assert breach.limit == "run_s"


def test_heartbeat_is_enough_between_runs(watch: DeadlineMonitor) -> None:
    watch.enter_phase("idle", 0)
    watch.on_event(2.5, progress=False)
    assert watch.check(5) is None
    assert watch.check(5.5) is not None


def test_worker_exit_has_a_deadline(watch: DeadlineMonitor) -> None:
    watch.enter_phase("stop", 5)
    assert watch.next_deadline() == 5 + STOP_S


def test_memory_limit_holds_in_every_phase(watch: DeadlineMonitor) -> None:
    assert watch.check(1, rss_bytes=1000) is None
    breach = watch.check(1, rss_bytes=1001)
    assert breach is not None
    assert (breach.limit, breach.phase) == ("memory_bytes", "start")


def test_server_wait_does_not_count_towards_a_run(watch: DeadlineMonitor) -> None:
    watch.enter_phase("prefill", 0)
    watch.on_waiting("503: Loading model", retry_in_s=30, now=4)
    assert watch.phase == "waiting"
    assert watch.check(34.9) is None
    breach = watch.check(39)  # first_token_s from the next attempt on
    assert breach is not None
    assert (breach.limit, breach.phase) == ("first_token_s", "waiting")
    assert "503: Loading model" in breach.message
    watch.on_waiting("503: Loading model", retry_in_s=30, now=38)
    watch.enter_phase("generate", 69)
    assert watch.check(71) is None
    assert watch.run_began == 68


def test_server_wait_does_not_extend_a_load(watch: DeadlineMonitor) -> None:
    watch.enter_phase("load", 1)
    watch.on_waiting("503: Loading model", retry_in_s=30, now=2)
    assert watch.phase == "load"
    breach = watch.check(11)
    assert breach is not None
    assert breach.limit == "load_s"
    assert "503: Loading model" in breach.message
