"""A sweep's state as text, with local times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..database.liveness import GONE


def local_time(moment: str | None) -> str | None:
    """A stored time as local time: 23:05, or with its date when it is another day."""
    if moment is None:
        return None
    when = datetime.fromisoformat(moment).astimezone()
    same_day = when.date() == datetime.now(UTC).astimezone().date()
    return f"{when:%H:%M}" if same_day else f"{when:%Y-%m-%d %H:%M}"


def describe_state(row: Mapping[str, Any]) -> str:
    """A sweep's state, with the time or sweep it waits for or since when its supervisor is gone."""
    if row["state"] == GONE:
        return f"supervisor gone since {local_time(row['gone_since'])}"
    if row["state"] == "scheduled":
        return f"from {local_time(row['not_before'])}"
    if row["state"] == "after":
        return f"after {row['after']}"
    return str(row["state"])


def gone_message(sweep: Mapping[str, Any], since: str) -> str:
    """A sentence: the supervisor of a row of `sweeps` is gone; the command that continues."""
    name = sweep["name"] or sweep["uid"]
    command = "start" if sweep["in_queue"] else "resume"
    return (
        f"The supervisor of {name} is gone since {local_time(since)}; finished runs are saved."
        f" To continue: vlmsweep {command}"
    )
