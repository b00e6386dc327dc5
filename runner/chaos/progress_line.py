"""A line on the terminal with the current fault; nothing in pipes and logs."""

from __future__ import annotations

import os
from typing import Self, TextIO

from .catalogue import Fault

ERASE = "\r\x1b[K"


class ProgressLine:
    """Draws the line, and takes it away at the end."""

    def __init__(self, total: int, out: TextIO) -> None:
        self.total, self.out = total, out
        self.shown = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.redraw("")

    def __call__(self, number: int, fault: Fault) -> None:
        """The fault that is being tried now."""
        self.redraw(f"{number}/{self.total}  {fault.title}")

    def redraw(self, line: str) -> None:
        """The line, in place of the one before."""
        if self.shown:
            self.out.write(ERASE + line)
            self.out.flush()
