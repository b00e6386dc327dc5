"""Stream events: what `vlmsweep run --json` prints, one object a line, and views draw.

The supervisor emits an event after its fact is committed to the database, so a reader of the
stream never knows more than the database. Workers send `schemas.events` instead.

To add an event, write its class in one of these modules (with its `line` and `style`) and emit
it. `EVENT_TYPES` and the JSON Schema follow from the subclasses.
"""

from __future__ import annotations

from collections.abc import Callable

from .base import StreamEvent as StreamEvent
from .base import SweepScopedEvent as SweepScopedEvent
from .base import leaf_classes
from .preparation import *  # noqa: F403
from .runs import *  # noqa: F403
from .session import *  # noqa: F403
from .sweeps import *  # noqa: F403
from .workers import *  # noqa: F403

EVENT_TYPES: tuple[type[StreamEvent], ...] = tuple(leaf_classes(StreamEvent))
EventSink = Callable[[StreamEvent], None]
