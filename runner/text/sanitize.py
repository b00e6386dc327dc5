"""Makes text from models, files and errors harmless to a terminal.

A model's text may contain escape codes, and bidirectional marks that reorder a line; both could
hide or fake text on the screen. Nothing here draws, and nothing stored is changed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

# C0 but tab and newline, DEL and C1; the marks that reorder text; lone surrogates.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def strip_control_characters(text: str) -> str:
    """Text without anything that steers a terminal; tabs and newlines stay."""
    return UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))


def is_plain(text: str) -> bool:
    """Whether a text is one line, harmless to any terminal and fit for any encoding."""
    return not UNSAFE.search(text) and "\n" not in text and "\t" not in text


def one_line(text: str) -> str:
    """The same on one line, white space folded."""
    return " ".join(strip_control_characters(text).split())


def truncate(text: str, length: int) -> str:
    """One line of at most `length` characters, its end marked when cut."""
    line = one_line(text)
    return line if len(line) <= length else line[: max(0, length - 1)] + "…"


def display_path(path: str | Path) -> str:
    """A path as text that any encoding can hold; undecodable bytes become \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
