"""Parses the name of a side: a sweep, a day, or a version of a library.

It finds the sweep, or says how the runs are chosen; reading them is `runner.diff.side`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from schemas.rows import Sweeps

from ..database.reader import Reader
from ..errors import QueryError

VERSION = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}([T ][\d:.]+)?(Z|[+-]\d{2}:?\d{2})?")
BACK = re.compile(r"(.*)~(\d{1,6})")

# Which runs count: ?1 and ?2 are the choice's values.
BY_DAY = "runs.ended_at < ?1"
BY_VERSION = """runs.worker_id IN (
    SELECT workers.id FROM workers JOIN environments ON environments.id = environment_id
    WHERE (?1 = 'python' AND python = ?2) OR ?2 = (SELECT value FROM json_each(packages)
        WHERE replace(lower(key), '_', '-') = ?1))"""


@dataclass(frozen=True, slots=True)
class SideSelector:
    """A side as text, and its sweep or the condition that selects its runs."""

    text: str
    title: str
    sweep: int | None = None
    condition: str = ""
    values: tuple[str, ...] = ()


def parse_selector(reader: Reader, text: str | None) -> SideSelector:
    """The side that `text` names; the latest sweep when it is None. Raises QueryError."""
    if text is None:
        return sweep_selector("latest", reader.sweep())
    try:
        return sweep_selector(text, sweep(reader, text))
    except QueryError as unknown:
        if found := VERSION.fullmatch(text):
            name = found[1].lower().replace("_", "-")
            title = f"latest runs with {name} {found[2]}"
            return SideSelector(text, title, condition=BY_VERSION, values=(name, found[2]))
        if DAY.fullmatch(text):
            title = f"latest runs until {text} (UTC)"
            return SideSelector(text, title, condition=BY_DAY, values=(end_of_period(text), ""))
        raise QueryError(
            unknown.message,
            hint="a side is a sweep (vlmsweep sweeps lists them; NAME~1 is the one of that name"
            " before), a day such as 2026-11-20, or a version such as transformers==5.23.0",
        ) from unknown


def sweep(reader: Reader, text: str) -> Sweeps:
    """A sweep as every command takes it, or `NAME~1`: the one of that name before the latest."""
    back = BACK.fullmatch(text)
    if back is None:
        return reader.sweep(text)
    last = reader.sweep(back[1] or None)
    named = back[1] == last["name"]  # ~1 alone, or after a number: whatever their names
    found = reader.records(
        "SELECT * FROM sweeps WHERE id <= ?1 AND (NOT ?2 OR name = ?3)"
        " ORDER BY id DESC LIMIT 1 OFFSET ?4",
        *(last["id"], named, last["name"], int(back[2])),
    )
    if not found:
        raise QueryError(f"there are not that many sweeps before {back[1] or 'the latest'!r}")
    return cast(Sweeps, found[0])


def sweep_selector(text: str, row: Sweeps) -> SideSelector:
    """A sweep's jobs."""
    at = row["created_at"][:16].replace("T", " ")
    return SideSelector(
        text, f"sweep {row['id']}, {row['name'] or row['uid']}, {at} UTC", row["id"]
    )


def end_of_period(text: str) -> str:
    """The first moment after a day or a time of day (UTC unless it says another), as stored."""
    try:
        at = datetime.fromisoformat(text)
        whole = len(text) == len("2026-11-20")
        at += timedelta(days=1) if whole else timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{text!r} is not a day or time: {error}") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
