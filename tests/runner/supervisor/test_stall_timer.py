"""A busy event loop is logged, a waiting one is not."""

from __future__ import annotations

import pytest

from runner.supervisor.stall_timer import StallTimer


def test_only_time_between_two_waits_counts(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    timer = StallTimer(lambda: now[0])
    timer.before_wait()
    now[0] = 100.0  # it waited
    timer.after_wait()
    now[0] = 100.4
    timer.before_wait()
    assert not caplog.records
    timer.after_wait()
    now[0] = 101.2
    timer.before_wait()
    assert caplog.messages == ["the event loop was busy for 0.80 s (over 0.5 s)"]
