"""Removes secrets, names of home folders and control characters from public reports.

Also puts untrusted text into Markdown so that it stays text.
"""

from __future__ import annotations

import re
from pathlib import Path

from schemas.shared.redact import redact as redact_secrets

from ..text.sanitize import one_line, strip_control_characters

# Of any machine: the run may have been imported.
HOMES = re.compile(r"(?:/home|/Users|[A-Za-z]:\\Users)[/\\][^/\\\s\"':]+")
# The folder of an environment says more about its owner than about the failure.
LIBRARIES = re.compile(r'(File ")[^"\n]+?([/\\](?:site|dist)-packages[/\\])')
TICKS = re.compile(r"`+")


def redact(text: str) -> str:
    """The text as it may be published."""
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(re.escape(home) + r"(?=[/\\\s\"':,)]|$)", "~", text)
    return strip_control_characters(HOMES.sub("~", LIBRARIES.sub(r"\1...\2", redact_secrets(text))))


def last_lines(text: str, lines: int, characters: int) -> str:
    """The last lines of a text, with a mark where some were left out."""
    rows = text.rstrip().split("\n")
    kept = "\n".join(rows[-lines:])
    if len(kept) > characters:
        kept = kept[-characters:].partition("\n")[2] or kept[-characters:]
    left = len(rows) - kept.count("\n") - 1
    return f"[... {left} lines before]\n{kept}" if left > 0 and kept else kept


def current_first(stack: str, lines: int) -> str:
    """A stack taken at a kill, innermost frames first: the thread that worked, then the others."""
    others, mark, current = stack.partition("Current thread")
    rows = (mark + current.rstrip() + "\n\n" + others).strip().split("\n")
    left = len(rows) - lines
    return "\n".join(rows[:lines]) + (f"\n[... {left} lines more]" if left > 0 else "")


def collapse_progress_bars(text: str) -> str:
    """A log as a terminal would show it in the end: of a progress bar, its last state."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(lines)


def code_block(text: str, language: str = "text") -> str:
    """A block that no line of the text can end."""
    fence = "`" * max(3, 1 + max(map(len, TICKS.findall(text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def inline_code(text: object) -> str:
    """Text within a line, as code: no mark of Markdown's, no @name, no #number works in it."""
    line = one_line(redact(str(text))) or " "
    mark = "`" * (1 + max(map(len, TICKS.findall(line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{mark}{pad}{line}{pad}{mark}"
