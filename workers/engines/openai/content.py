"""Reads the forms in which servers send an answer's content. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from schemas.shared.redact import redact

TEXT_TYPES = ("text", "output_text")
REASONING_TYPES = ("thinking", "reasoning", "reasoning_text", "summary_text")
REASONING_KEYS = ("thinking", "reasoning", "text", "content", "summary")
SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The parts of a piece of an answer. `refusal` is the model's own refusal."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""

    def __add__(self, other: Content) -> Content:
        return Content(
            text=self.text + other.text,
            reasoning=self.reasoning + other.reasoning,
            refusal=self.refusal + other.refusal,
        )


def read_content(value: Any) -> Content:
    """A string, a part, a list of these, or None. Raises ValueError for any other form."""
    if value is None:
        return Content()
    if isinstance(value, str):
        return Content(text=value)
    if isinstance(value, dict):
        return _part(value)
    if isinstance(value, list):
        content = Content()
        for item in value:
            if isinstance(item, list):
                raise unknown(value)
            content += read_content(item)
        return content
    raise unknown(value)


def read_reasoning(value: Any) -> str:
    """All text of a reasoning field, in any of the forms of content. Raises ValueError."""
    content = read_content(value)
    return content.text + content.reasoning


def unknown(value: Any) -> ValueError:
    """The error for content in an unknown form; it shows the start of it."""
    return ValueError(f"unknown content: {redact(json.dumps(value))[:SHOWN]}")


def _part(part: dict[str, Any]) -> Content:
    kind = part.get("type")
    if kind in REASONING_TYPES:
        key = next((key for key in REASONING_KEYS if part.get(key) is not None), None)
        return Content(reasoning=read_reasoning(part[key]) if key else "")
    if kind == "refusal":
        return Content(refusal=_string(part, "refusal"))
    if kind in TEXT_TYPES or (kind is None and "text" in part):
        return Content(text=_string(part, "text"))
    raise unknown(part)


def _string(part: dict[str, Any], key: str) -> str:
    value = part.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, dict) and isinstance(value.get("value"), str):
        return str(value["value"])
    raise unknown(part)
