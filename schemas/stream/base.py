"""What every event within a sweep has in common; no event itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepScopedEvent:
    """What happens within a sweep: its uid, or None where it is the one told of last."""

    sweep: str | None = None
