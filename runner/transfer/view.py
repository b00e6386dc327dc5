"""The result of an export or import, as rows and sentences. It prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..database.merge import MergeResult
from ..text.sanitize import display_path, one_line
from ..text.units import pluralize, size
from ..view.grid import Column, Grid, grid
from .bundle_writer import BundleResult
from .importer import ImportResult

IMPORTED = (
    Column("sweep", "Sweep", least=12, middle=True),
    Column("number", "No", "number"),
    Column("state", "State", least=10),
    Column("runs", "New runs", "number"),
    Column("note", "Note", least=30, aside=True, optional=True),
)


def describe_bundle(done: BundleResult) -> str:
    """A bundle in some lines."""
    counts = done.counts
    held = f"{pluralize(counts.runs, 'run')}, {pluralize(counts.images, 'file')} of images"
    lines = [
        f"{one_line(display_path(done.path))}: {held}, {pluralize(counts.logs, 'log')},"
        f" {size(done.bytes)}"
    ]
    if counts.runs_again:
        lines.append("Unpacked, it runs again with: vlmsweep run sweep.yaml")
    else:
        lines.append("It holds no sweep file: none of its images exists any more")
    lines += [f"not repeated: {line}" for line in counts.left_out]
    return "\n".join(lines)


def import_table(done: Sequence[ImportResult]) -> Grid:
    """A row for each sweep of each file."""
    return grid([row for one in done for row in import_rows(one)], IMPORTED)


def import_rows(done: ImportResult) -> Iterator[dict[str, Any]]:
    """A file's rows."""
    for sweep in done.sweeps:
        yield {
            "file": display_path(done.path),
            "sweep": sweep.name or sweep.uid,
            "uid": sweep.uid,
            "number": sweep.id,
            "state": state(sweep),
            "runs": sweep.added.get("runs", 0),
            "added": sweep.added,
            "kept": sweep.kept,
            "left": sweep.left,
            "note": note(sweep) or None,
        }


def state(sweep: MergeResult) -> str:
    """The result for a sweep, as one or two words."""
    if sweep.refused is not None:
        return "left out"
    if sweep.new:
        return "new"
    return "extended" if sweep.added else "unchanged"


def note(sweep: MergeResult) -> str:
    """The rows that were not imported, with reasons."""
    if sweep.refused is not None:
        return sweep.refused
    kept = [f"{table} ({count})" for table, count in sweep.kept.items()]
    left = [f"{table} ({count})" for table, count in sweep.left.items()]
    parts = [f"existing rows kept where they differ: {', '.join(kept)}"] if kept else []
    parts += [f"left out with them: {', '.join(left)}"] if left else []
    return "; ".join(parts)


def files_line(done: Sequence[ImportResult]) -> str:
    """The imported files, in a line."""
    images, logs, refused = (
        sum(getattr(one.files, name) for one in done) for name in ("images", "logs", "refused")
    )
    text = "No files were imported."
    if images or logs:
        text = f"{pluralize(images, 'image')} and {pluralize(logs, 'log')} imported."
    if refused:
        text += f" {pluralize(refused, 'image')} did not show what the rows say, and stayed out."
    return text


def is_complete(done: Sequence[ImportResult]) -> bool:
    """Whether all that the files hold is here now, as they have it."""
    return not any(s.refused or s.kept or s.left for one in done for s in one.sweeps)
