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

from ..control.client import send_request
from ..database import score_writer
from ..database.reader import Reader
from ..database.score_reader import model_scores
from ..database.score_writer import ScoreProgress
from ..database.store import Store, files_folder
from ..errors import BusyError, SweepFileError
from ..planning.plan import ReferenceAnswers
from ..planning.references import load_references


@dataclass(frozen=True, slots=True)
class RescoreResult:
    """What was judged, and the scores of all of it: a row per model and metric."""

    done: ScoreProgress
    scores: list[dict[str, Any]]


def rescore(
    database: Path,
    sweep: str | None,
    answers: Path | None = None,
    scoring: Sequence[str] = (),
    *,
    every: bool = False,
) -> RescoreResult:
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
            known = load_references(
                answers, scoring, score_writer.job_keys(reader.connection, numbers[0])
            )
    each = [rescore_sweep(database, number, known) for number in numbers]
    done = ScoreProgress(sum(one.checked for one in each), sum(one.scored for one in each))
    with Reader(database) as reader:
        return RescoreResult(done, [row for one in numbers for row in model_scores(reader, one)])


def rescore_sweep(database: Path, sweep: int, known: ReferenceAnswers | None) -> ScoreProgress:
    """One sweep, by whoever may write."""
    try:
        with closing(Store(database)) as store:
            return rescore_locally(store, sweep, known)
    except BusyError:
        return rescore_via_supervisor(database, sweep, known)


def rescore_locally(store: Store, sweep: int, known: ReferenceAnswers | None) -> ScoreProgress:
    """One sweep, every ended run of it, a few hundred at a time."""
    if known is not None:
        with store.db.atomic():
            score_writer.delete_references(store.connection, sweep)
            for job, accepted in known.accepted.items():
                score_writer.store_reference(store.connection, job, accepted, known.metrics)
    checked = scored = after = 0
    while True:
        with store.db.atomic():
            some = score_writer.score_batch(store.connection, sweep, after)
        checked, scored = checked + some.checked, scored + some.scored
        if some.last is None:
            return ScoreProgress(checked, scored)
        after = some.last


def rescore_via_supervisor(
    database: Path, sweep: int, known: ReferenceAnswers | None
) -> ScoreProgress:
    """One sweep, by the supervisor that works: part after part, so that its workers don't wait."""
    if known is not None:
        send_references(database, sweep, known)
    checked = scored = 0
    after: int | None = 0
    while after is not None:
        some = send_request(database, "judge", {"sweep": sweep, "after": after})
        checked, scored, after = checked + some["checked"], scored + some["scored"], some["last"]
    return ScoreProgress(checked, scored)


def send_references(database: Path, sweep: int, known: ReferenceAnswers) -> None:
    """Gives accepted answers to the supervisor, by a file: a request could not hold them all."""
    folder = files_folder(database) / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f"{secrets.token_hex(8)}.jsonl"
    try:
        lines = (score_writer.as_json([job, list(some)]) for job, some in known.accepted.items())
        staged.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        at: int | None = 0
        while at is not None:
            fixed = {"sweep": sweep, "staged": str(staged), "metrics": list(known.metrics)}
            at = send_request(database, "expect", fixed | {"at": at})["at"]
    finally:
        staged.unlink(missing_ok=True)
