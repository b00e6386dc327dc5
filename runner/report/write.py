"""Writes a report to its file: whole, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

from ..database.reader import Reader
from ..errors import VlmsweepError
from ..system.atomic_write import atomic_write
from ..text import units
from ..text.file_format import format_from_name
from ..text.sanitize import strip_control_characters
from .data import ReportData
from .load import load_report

SUFFIXES = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md"}


def write_report(
    database: Path, sweep: str | None, output: Path | None, format: str | None, images: bool
) -> str:
    """A sweep's report; returns what to tell about it. `-` is standard output.

    Raises VlmsweepError where it cannot be made or written.
    """
    format = format or format_from_name(output, SUFFIXES, "html")
    with Reader(database) as reader:
        facts = load_report(reader, reader.sweep(sweep))
    text = render_report(facts, format, images)
    if output == Path("-"):
        sys.stdout.write(text)
        return written_message(facts, "", text)
    path = output or Path(f"report.{format}")
    write_report_file(path, text)
    return strip_control_characters(written_message(facts, f"{path}: ", text))


def render_report(facts: ReportData, format: str, images: bool) -> str:
    """The report's text."""
    if format == "md":
        from .markdown import render_markdown

        return render_markdown(facts)
    from .page import page

    return page(facts, images)


def write_report_file(path: Path, text: str) -> None:
    """Replace a file atomically. Raises VlmsweepError and keeps the old file on failure."""
    try:
        with atomic_write(path) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise VlmsweepError(f"cannot write {path}: {error.strerror or error}") from error


def written_message(facts: ReportData, where: str, text: str) -> str:
    """`report.html: 1.2 MB, 8 models, 192 answers`."""
    size = units.size(len(text.encode("utf-8", "replace")))
    models = len(facts.models)
    return (
        f"{where}{size}, {units.pluralize(models, 'model')},"
        f" {units.pluralize(facts.answers, 'answer')}"
    )
