"""Parsing of times of day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from runner.planning import parse_time


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def parsed(text: str, now: str) -> str:
    return parse_time.parse(text, datetime.fromisoformat(now)).isoformat()


@pytest.mark.parametrize(
    ("text", "now", "meant"),
    [
        ("07:00", "2026-11-23T22:00:00+01:00", "2026-11-24T07:00:00+01:00"),
        ("23:30", "2026-11-23T22:00:00+01:00", "2026-11-23T23:30:00+01:00"),
        ("22:00", "2026-11-23T22:00:00+01:00", "2026-11-24T22:00:00+01:00"),
        ("7:05", "2026-11-23T05:00:00+00:00", "2026-11-23T07:05:00+01:00"),
        # Daylight saving time ends on this date: 07:00 is nine hours after 23:00.
        ("07:00", "2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"),
        ("2026-11-25 06:00", "2026-11-23T22:00:00+01:00", "2026-11-25T06:00:00+01:00"),
        ("2026-11-25T06:00+00:00", "2026-11-23T22:00:00+01:00", "2026-11-25T07:00:00+01:00"),
    ],
)
def test_hour_means_its_next_occurrence(text: str, now: str, meant: str) -> None:
    assert parsed(text, now) == meant


@pytest.mark.parametrize("text", ["", "25:00", "12:60", "noon", "7", "2020-01-01 07:00"])
def test_invalid_or_past_time_is_refused(text: str) -> None:
    with pytest.raises(parse_time.HourError):
        parsed(text, "2026-11-23T22:00:00+01:00")
