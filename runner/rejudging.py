"""The spine of `vlmsweep judge`: checks and scores stored runs anew, perhaps by other answers.

It opens the database for writing; where a supervisor has it already, that can call
`runner.database.judging.judge` itself. It parses no options and prints nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .database import judging
from .database.judging import Rejudged
from .database.reader import Reader
from .database.scores import model_scores
from .database.store import Store
from .errors import SweepFileError
from .planning.expected import Expectation, expectation


@dataclass(frozen=True, slots=True)
class Marks:
    """What was judged, and the scores of all of it: a row per model and metric."""

    done: Rejudged
    scores: list[dict[str, Any]]


def rejudge(
    database: Path,
    sweep: str | None,
    answers: Path | None = None,
    scoring: Sequence[str] = (),
    *,
    every: bool = False,
) -> Marks:
    """Judges a sweep, the latest by default, or every one by the answers it has.

    With `answers` those accepted there take the place of the ones the sweep had.
    """
    if scoring and answers is None:
        raise SweepFileError("scoring would be ignored without answers", hint="add --answers FILE")
    if every and (sweep is not None or answers is not None):
        raise SweepFileError("give either --all, or one sweep and its answers")
    with Reader(database) as reader:
        meant = reader.sweeps() if every else [{"number": reader.sweep(sweep)["id"]}]
    numbers = sorted(int(row["number"]) for row in meant)
    store = Store(database)
    try:
        each = [
            judging.judge(store, one, expected(store, one, answers, scoring)) for one in numbers
        ]
    finally:
        store.close()
    done = Rejudged(sum(one.checked for one in each), sum(one.scored for one in each))
    with Reader(database) as reader:
        return Marks(done, [row for one in numbers for row in model_scores(reader, one)])


def expected(
    store: Store, sweep: int, answers: Path | None, scoring: Sequence[str]
) -> Expectation | None:
    """What a file says of a stored sweep's jobs; None without a file."""
    if answers is None:
        return None
    return expectation(answers, scoring, judging.asked(store.connection, sweep))
