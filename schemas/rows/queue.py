"""What was asked of the overnight queue from other terminals."""

from __future__ import annotations

from typing import Annotated, TypedDict


class Requests(TypedDict, total=False):
    """A request that changed the queue, and what came of it; each is carried out once only."""

    uid: Annotated[str, "Name the asking command gave it, so that asking twice is harmless."]
    processed_at: Annotated[str, "When it was carried out."]
    action: Annotated[str, "What was asked, such as add, cancel or move."]
    arguments: Annotated[str, "JSON object: of what. A sweep's own text is not repeated here."]
    reply: Annotated[str, "JSON object: what the asking command was told."]
