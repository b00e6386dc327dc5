"""Composes a message: a title, the event, and the sweep's table, as text and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from schemas.shared.redact import redact

from ..database.reader import Reader
from ..errors import VlmsweepError
from ..text.sanitize import one_line, strip_control_characters
from ..view.formats import write_grid
from ..view.tables import summary_table


@dataclass(frozen=True, slots=True)
class Message:
    """One message in both its forms."""

    title: str
    text: str
    markdown: str


def compose(database: Path, title: str, body: str, sweep: str) -> Message:
    """A message with the current table of a sweep; without it if it cannot be read."""
    tables = {"table": "", "md": ""}
    try:
        with Reader(database) as reader:
            rows = reader.summary(reader.sweep(sweep)["id"])
        for form in tables:
            out = StringIO()
            write_grid(summary_table(rows), "table" if form == "table" else "md", out)
            tables[form] = redact(out.getvalue())
    except VlmsweepError as error:
        tables = dict.fromkeys(tables, f"(no table: {redact(error.message)})\n")
    text = redact(strip_control_characters(body)).strip()
    quoted = "\n".join(
        f"    {line}" for line in text.splitlines()
    )  # a model's text is not Markdown
    end = f"\nStored in {strip_control_characters(str(database))}\n"
    return Message(
        redact(one_line(f"vlmsweep: {title}")),
        "\n\n".join(filter(None, (text, tables["table"]))) + end,
        "\n\n".join(filter(None, (quoted, tables["md"]))) + end,
    )
