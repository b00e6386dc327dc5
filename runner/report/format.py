"""Formats answers, images and workers as plain text for a report; not escaped.

Shared by the page and the Markdown.
"""

from __future__ import annotations

import json
from typing import Any

from schemas.states import Outcome

from ..text import units
from .data import AnswerRow, Record
from .scores import score_flags

LONG = 360
LONG_LINES = 7


def answer(answer_row: AnswerRow, name: str) -> dict[str, Any]:
    """An answer to display: the model, its turns, its duration and notes."""
    turns = [*answer_turns(answer_row.row), *notes(answer_row.row)]
    length = sum(len(turn["text"]) for turn in turns)
    lines = sum(turn["text"].count("\n") + 1 for turn in turns)
    return {
        "model": answer_row.model,
        "name": name,
        "outcome": answer_row.outcome,
        "times": answer_row.times,
        "latency": answer_row.row["latency_s"] if answer_row.outcome == Outcome.OK else None,
        "flags": flags(answer_row),
        "language": answer_row.scored["language"] if answer_row.scored is not None else None,
        "turns": turns,
        "long": length > LONG or lines > LONG_LINES,
    }


def notes(row: Record) -> list[dict[str, str]]:
    """Unusual facts about a run."""
    return [{"kind": "why", "text": f"Note: {note}"} for note in json.loads(row["notes"] or "[]")]


def answer_turns(row: Record) -> list[dict[str, str]]:
    """The turns of an answer; for a failure the reason and the text that had arrived."""
    if row["outcome"] == Outcome.OK:
        turns = json.loads(row["transcript"] or "[]")
        if len(turns) > 2:
            kinds = {"user": "asking", "assistant": "text"}
            return [{"kind": kinds.get(t["role"], "why"), "text": t["text"]} for t in turns]
        return [{"kind": "text", "text": row["text"]} if row["text"] else EMPTY]
    out = [{"kind": "why", "text": row["message"]}] if row["message"] else []
    if row["raw_text"]:
        out.append({"kind": "why", "text": f"Partial answer: {row['raw_text']}"})
    return out


EMPTY = {"kind": "why", "text": "(nothing)"}


def flags(answer_row: AnswerRow) -> list[str]:
    """Short flags for an answer."""
    cut = answer_row.outcome == Outcome.OK and answer_row.row["finish_reason"] == "length"
    out = score_flags(answer_row.scored) if answer_row.scored is not None else ["cut off"] * cut
    return out + (["by fallback"] if answer_row.fallback else [])


def image(row: Record) -> list[tuple[str, str]]:
    """Facts about an image's file."""
    facts: list[tuple[str, str | None]] = [("File", row["path"]), ("Kind", kind(row))]
    if row["width"]:
        facts.append(("Size", f"{row['width']} × {row['height']} px"))
    if row["prepared_width"]:
        prepared = f"{row['prepared_width']} × {row['prepared_height']} px"
        facts.append(("As models saw it", prepared))
    if row["source_bytes"] is not None:
        facts.append(("Bytes", units.size(row["source_bytes"])))
    facts.append(("Problem", row["message"]))
    return [(name, text) for name, text in facts if text]


def kind(row: Record) -> str | None:
    """`JPEG, RGB, turned (EXIF 6)`, `video of 4.2 s`."""
    parts = [row["format"], row["mode"]]
    if row["duration_s"] is not None:
        parts.append(f"{units.seconds(row['duration_s'])} long, {row['max_frames']} frames shown")
    if (row["orientation"] or 1) != 1:
        parts.append(f"turned (EXIF {row['orientation']})")
    return ", ".join(part for part in parts if part) or None


def worker_exit_text(row: Record) -> str | None:
    """Describes a worker's exit, if that is unusual."""
    if row["killed_for"]:
        return f"killed for {row['killed_for']}"
    if row["exit_signal"]:
        return f"died of {row['exit_signal']}"
    if row["error_class"]:
        return str(row["error_class"]).replace("_", " ")
    return f"exit status {row['exit_code']}" if row["exit_code"] else None
