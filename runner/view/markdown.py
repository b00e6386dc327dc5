"""Renders Markdown for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.markdown import Markdown

from .table_renderer import console

MOST_COLUMNS = 100


def render_markdown(text: str, stream: TextIO) -> str:
    """Return the text as lines for the stream's terminal, with its styles, at most 100 wide."""
    out = console(stream)
    out.width = min(out.width, MOST_COLUMNS)
    with out.capture() as captured:
        out.print(Markdown(text, code_theme="ansi_dark", hyperlinks=False))
    return captured.get()
