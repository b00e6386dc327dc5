"""Formats timestamps for storage and output. Durations use monotonic clocks, not these."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """2026-01-31T23:59:59.123456Z."""
    return format_timestamp(datetime.now(UTC))


def format_timestamp(moment: datetime) -> str:
    """A moment as it is stored; texts sort as the moments do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_since(begin: str | None, end: str | None = None) -> float:
    """Seconds from one stored time to another, or until now; 0 where it is not known."""
    if begin is None:
        return 0.0
    until = datetime.now(UTC) if end is None else datetime.fromisoformat(end)
    return max(0.0, (until - datetime.fromisoformat(begin)).total_seconds())
