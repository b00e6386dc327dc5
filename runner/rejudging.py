"""The spine of `vlmsweep judge`: checks and scores stored runs anew, perhaps by other answers.

Where a supervisor works on the database, it is asked to do so. This module parses no options and
prints nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .control.asking import ask
from .database import judging
from .database.judging import Rejudged
from .database.reader import Reader
from .database.scores import model_scores
from .database.store import Store, files_of
from .errors import BusyError, SweepFileError
from .planning.expected import expectation
from .planning.plan import Expectation


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
    known = None
    with Reader(database) as reader:
        if every:
            numbers = sorted(int(row["number"]) for row in reader.sweeps())
        else:
            numbers = [int(reader.sweep(sweep)["id"])]
        if answers is not None:
            known = expectation(answers, scoring, judging.asked(reader.connection, numbers[0]))
    each = [judge(database, number, known) for number in numbers]
    done = Rejudged(sum(one.checked for one in each), sum(one.scored for one in each))
    with Reader(database) as reader:
        return Marks(done, [row for one in numbers for row in model_scores(reader, one)])


def judge(database: Path, sweep: int, known: Expectation | None) -> Rejudged:
    """One sweep, by whoever may write."""
    try:
        with closing(Store(database)) as store:
            return by_us(store, sweep, known)
    except BusyError:
        return by_request(database, sweep, known)


def by_us(store: Store, sweep: int, known: Expectation | None) -> Rejudged:
    """One sweep, every ended run of it, a few hundred at a time."""
    if known is not None:
        with store.db.atomic():
            judging.forget(store.connection, sweep)
            for job, accepted in known.accepted.items():
                judging.expect(store.connection, job, accepted, known.metrics)
    checked = scored = after = 0
    while True:
        with store.db.atomic():
            some = judging.judge_some(store.connection, sweep, after)
        checked, scored = checked + some.checked, scored + some.scored
        if some.last is None:
            return Rejudged(checked, scored)
        after = some.last


def by_request(database: Path, sweep: int, known: Expectation | None) -> Rejudged:
    """One sweep, by the supervisor that works: part after part, so that its workers don't wait."""
    if known is not None:
        hand_over(database, sweep, known)
    checked = scored = 0
    after: int | None = 0
    while after is not None:
        some = ask(database, "judge", {"sweep": sweep, "after": after})
        checked, scored, after = checked + some["checked"], scored + some["scored"], some["last"]
    return Rejudged(checked, scored)


def hand_over(database: Path, sweep: int, known: Expectation) -> None:
    """Gives accepted answers to the supervisor, by a file: a request could not hold them all."""
    folder = files_of(database) / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f"{secrets.token_hex(8)}.jsonl"
    try:
        lines = (judging.as_json([job, list(some)]) for job, some in known.accepted.items())
        staged.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        at: int | None = 0
        while at is not None:
            fixed = {"sweep": sweep, "staged": str(staged), "metrics": list(known.metrics)}
            at = ask(database, "expect", fixed | {"at": at})["at"]
    finally:
        staged.unlink(missing_ok=True)
