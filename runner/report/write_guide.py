"""Writes the model loading reference of a sweep as Markdown or JSON."""

from __future__ import annotations

from typing import TextIO

from ..database.reader import Reader
from ..errors import VlmsweepError
from ..planning import family_info
from ..view.formats import Format, as_json
from . import loading_guide
from .load import load_report


def write_guide(reader: Reader, sweep: int, format: Format | None, stream: TextIO) -> None:
    """The whole reference. Raises VlmsweepError for a format it does not have."""
    if format not in (None, "md", "json", "nl"):
        raise VlmsweepError(
            f"the guide is written as Markdown or JSON, not as {format}",
            hint="--md, --json or --nl; vlmsweep report makes a page",
        )
    facts = load_report(reader, reader.sweep(str(sweep)))
    guide = loading_guide.entries(facts, family_info.run_describe()["families"])
    if format in (None, "md"):
        stream.write(loading_guide.guide_markdown(facts, guide))
        return
    records = loading_guide.as_records(guide)
    stream.write(
        "".join(as_json(r) + "\n" for r in records) if format == "nl" else json_list(records)
    )


def json_list(records: list[dict[str, object]]) -> str:
    """A JSON list."""
    return as_json(records) + "\n"
