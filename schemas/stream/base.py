"""The base classes of stream events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


# No slots: `slots=True` creates each class twice, and `__subclasses__` would list both.
@dataclass(frozen=True, kw_only=True)
class StreamEvent:
    """An event of the stream; each subclass that sets its own `event` is one kind.

    `line` is the event's line in logs and above the live view, `style` its colour there. Views
    that know the whole sweep add to the line (`runner.view.log_lines`).
    """

    redraw: ClassVar[bool] = False
    """Whether the live view is redrawn at once: nothing may follow for a long time."""

    event: str

    @property
    def line(self) -> str | None:
        """The event in one line, or None if logs leave it out."""
        return None

    @property
    def style(self) -> str | None:
        """The rich style in which the live view keeps the line on screen; None: not kept."""
        return None


@dataclass(frozen=True, kw_only=True)
class SweepScopedEvent(StreamEvent):
    """An event of one sweep: its uid, or None for the latest sweep that was started.

    Views put the event's model in front of the line.
    """

    sweep: str | None = None


def leaf_classes(parent: type[StreamEvent]) -> list[type[StreamEvent]]:
    """Return the subclasses that have no subclass themselves, in order of definition."""
    children = parent.__subclasses__()
    return [leaf for child in children for leaf in leaf_classes(child)] if children else [parent]
