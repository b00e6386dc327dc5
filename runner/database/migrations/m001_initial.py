"""The schema of the first release, as SQL files in this folder: read in this order.

`tables.sql`, `indexes.sql`, `views.sql` and `search.sql` hold it; nothing is computed here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).with_name("initial")
PARTS = ("tables.sql", "indexes.sql", "views.sql", "search.sql")


def statements(folder: Path = FOLDER) -> Iterator[str]:
    """Each statement of the files, with its comments. A trigger is one statement.

    `executescript` will not do: it commits, and a migration is one transaction.
    Raises ValueError when a file ends within a statement.
    """
    for part in PARTS:
        text = ""
        for line in (folder / part).read_text("utf-8").splitlines(keepends=True):
            text += line
            # Sure of the end only where a line ends: sqlite3 knows comments, texts and triggers.
            if line.rstrip().endswith(";") and sqlite3.complete_statement(text):
                yield text.strip()
                text = ""
        if text.strip():
            raise ValueError(f"{part} ends within a statement: {text.strip()[:80]!r}")
