"""Folds white space in answers."""

from __future__ import annotations

import re

PARAGRAPH_BREAK = re.compile(r"[^\S\n]*\n[^\S\n]*\n\s*")


def fold_white_space(text: str) -> str:
    """The text with single spaces; breaks between paragraphs are kept as one empty line."""
    paragraphs = (" ".join(part.split()) for part in PARAGRAPH_BREAK.split(text))
    return "\n\n".join(filter(None, paragraphs))
