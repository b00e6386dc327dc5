"""The spine of `vlmsweep judge`: checks and scores stored runs anew, perhaps by other answers.

It opens the database for writing; where a supervisor has it already, that can call
`runner.database.judging.judge` itself. It parses no options and prints nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .database import judging
from .database.judging import Rejudged
from .database.reader import Reader
from .database.store import Store
from .errors import SweepFileError
from .planning.expected import expectation


def rejudge(
    database: Path, sweep: str | None, answers: Path | None = None, scoring: Sequence[str] = ()
) -> tuple[int, Rejudged]:
    """Judges one sweep, the latest by default; returns its number and what was done.

    With `answers` the accepted answers of that file take the place of those it had.
    """
    if scoring and answers is None:
        raise SweepFileError("scoring would be ignored without answers", hint="add --answers FILE")
    with Reader(database) as reader:
        number = int(reader.sweep(sweep)["id"])
    store = Store(database)
    try:
        known = None
        if answers is not None:
            asked = judging.asked(store.connection, number)
            known = expectation(answers, scoring, asked)
        return number, judging.judge(store, number, known)
    finally:
        store.close()
