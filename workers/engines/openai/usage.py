"""Token counts as a server reports them. A value that cannot be a count is unknown, not 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.shared.counts import read_count

ODD_COUNTS = "the server's token counts are not counts: they are unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts of one answer, None if the server does not report them.

    `odd` says that a value was there which cannot be a count.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    odd: bool = False


def read_usage(value: Any) -> Usage | None:
    """The counts of a `usage` object; None if it is not one."""
    if not isinstance(value, dict):
        return None
    details = value.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    raw = (
        value.get("prompt_tokens"),
        value.get("completion_tokens"),
        details.get("image_tokens"),
        details.get("cached_tokens"),
    )
    prompt, completion, images, cached = map(read_count, raw)
    return Usage(
        input_tokens=prompt or None,  # servers that do not count report 0
        output_tokens=completion,
        image_tokens=images,
        cached_tokens=cached,
        odd=any(item is not None and read_count(item) is None for item in raw),
    )
