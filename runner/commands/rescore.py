"""Scores stored runs again, optionally with other reference answers.

If a supervisor has the database, it scores on request. This module parses no options and prints
nothing.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..control.client import send_request
from ..database import score_writer
from ..database.file_names import files_folder
from ..database.reader import Reader
from ..database.score_reader import ModelScoreRow, model_scores
from ..database.score_writer import ScoreProgress
from ..database.store import Store
from ..errors import BusyError, SweepFileError
from ..planning.plan import ReferenceAnswers
from ..planning.references import load_references
from ..text.units import pluralize


@dataclass(frozen=True, slots=True)
class ReferenceChange:
    """Numbers of jobs by the effect of a file of accepted answers."""

    added: int
    extended: int
    kept: int
    removed: int

    def __str__(self) -> str:
        """Return `2 jobs got accepted answers, 1 got more, 21 unchanged`."""
        words = [f"{pluralize(self.added, 'job')} got accepted answers"]
        words += [f"{self.extended} got more"] if self.extended else []
        words += [f"{self.kept} unchanged"] if self.kept else []
        words += [f"{self.removed} had answers replaced or removed"] if self.removed else []
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class RescoreResult:
    """The numbers of scored runs, and the scores: a row per model and metric."""

    done: ScoreProgress
    scores: list[ModelScoreRow]
    references: ReferenceChange | None = None


def rescore(
    database: Path,
    sweep: str | None,
    answers: Path | None = None,
    scoring: Sequence[str] = (),
    *,
    every: bool = False,
    replace: bool = False,
) -> RescoreResult:
    """Score a sweep, the latest by default, or every sweep, by its reference answers.

    Answers in the file `answers` are added to those of the sweep; with `replace` they replace all
    of them. Raises SweepFileError and DatabaseError.
    """
    if scoring and answers is None:
        raise SweepFileError("scoring would be ignored without answers", hint="add --answers FILE")
    if every and (sweep is not None or answers is not None):
        raise SweepFileError("give either --all, or one sweep and its answers")
    if replace and answers is None:
        raise SweepFileError("--replace needs the new answers", hint="add --answers FILE")
    known = change = None
    with Reader(database) as reader:
        if every:
            numbers = sorted(int(row["number"]) for row in reader.sweeps())
        else:
            numbers = [int(reader.sweep(sweep)["id"])]
        if answers is not None:
            known = load_references(
                answers, scoring, score_writer.job_keys(reader.connection, numbers[0])
            )
            known, change = merge_references(reader, numbers[0], known, replace)
    each = [rescore_sweep(database, number, known, replace) for number in numbers]
    done = ScoreProgress(sum(one.checked for one in each), sum(one.scored for one in each))
    with Reader(database) as reader:
        scores = [row for one in numbers for row in model_scores(reader, one)]
    return RescoreResult(done, scores, change)


def merge_references(
    reader: Reader, sweep: int, new: ReferenceAnswers, replace: bool
) -> tuple[ReferenceAnswers, ReferenceChange]:
    """Return the answers to store for the jobs of a file, and the change."""
    known = score_writer.load_references(reader.connection, sweep)
    shared = known.keys() & new.accepted.keys()
    if replace:
        change = ReferenceChange(len(new.accepted.keys() - known.keys()), 0, 0, len(known))
        return new, change
    accepted = {
        job: tuple(dict.fromkeys((*known.get(job, ()), *answers)))
        for job, answers in new.accepted.items()
    }
    more = sum(len(accepted[job]) > len(known[job]) for job in shared)
    change = ReferenceChange(len(accepted) - len(shared), more, len(known) - more, 0)
    return dataclasses.replace(new, accepted=accepted), change


def rescore_sweep(
    database: Path, sweep: int, known: ReferenceAnswers | None, replace: bool = False
) -> ScoreProgress:
    """Score one sweep, here or, if the database is locked, in its supervisor."""
    try:
        with closing(Store(database)) as store:
            return rescore_locally(store, sweep, known, replace)
    except BusyError:
        return rescore_via_supervisor(database, sweep, known, replace)


def rescore_locally(
    store: Store, sweep: int, known: ReferenceAnswers | None, replace: bool = False
) -> ScoreProgress:
    """Score all ended runs of one sweep, in batches."""
    if known is not None:
        with store.db.atomic():
            if replace:
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
    database: Path, sweep: int, known: ReferenceAnswers | None, replace: bool = False
) -> ScoreProgress:
    """Score one sweep in its supervisor, in batches, so that its workers don't wait."""
    if known is not None:
        send_references(database, sweep, known, replace)
    checked = scored = 0
    after: int | None = 0
    while after is not None:
        some = send_request(database, "score", {"sweep": sweep, "after_run_id": after})
        checked, scored = checked + some["checked"], scored + some["scored"]
        after = some["last_run_id"]
    return ScoreProgress(checked, scored)


def send_references(database: Path, sweep: int, known: ReferenceAnswers, replace: bool) -> None:
    """Send accepted answers to the supervisor in a file; a request has limited size."""
    folder = files_folder(database) / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f"{secrets.token_hex(8)}.jsonl"
    try:
        lines = (score_writer.as_json([job, list(some)]) for job, some in known.accepted.items())
        staged.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        request = {"sweep": sweep, "staging_path": str(staged), "metrics": list(known.metrics)}
        request["replace"] = replace
        offset: int | None = 0
        while offset is not None:
            batch = request | {"offset": offset}
            offset = send_request(database, "set_reference_answers", batch)["offset"]
    finally:
        staged.unlink(missing_ok=True)
