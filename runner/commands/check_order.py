"""Checks if a model's answers depend on earlier jobs, by running the same jobs in three orders.

Each job runs alone in a new process, then all run on one worker in the plan's order, then in
reverse. If a text differs, the job runs alone again: if that differs too, the model is
nondeterministic regardless of order. Every run is stored, one sweep per order; sweeps are run by
`runner.api`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.rows import Results
from schemas.states import Outcome, SweepState
from schemas.stream import EventSink

from .. import api
from ..database.reader import Reader
from ..errors import EXIT_INTERRUPTED, EXIT_JOBS_FAILED, EXIT_OK, SweepFileError
from ..planning.plan import Plan, PlannedJob
from ..text import units

if TYPE_CHECKING:
    from ..process.launcher import Launcher

Key = tuple[int, int, tuple[int, ...], int]
RowsByJob = dict[Key, Results]
SAME, LEAKS, UNSTEADY, FAILED = "same", "depends on order", "nondeterministic", "not answered"


@dataclass(frozen=True, slots=True)
class OrderComparison:
    """Texts of one job: alone, in the plan's order, in reverse; and the verdict."""

    model: str
    image: str | None
    prompt: str
    repeat: int
    verdict: str
    alone: str | None
    in_order: str | None
    reversed: str | None


@dataclass(frozen=True, slots=True)
class OrderCheckResult:
    """All compared jobs; `sweeps` are the ids of the stored sweeps."""

    jobs: list[OrderComparison]
    sweeps: list[int]
    whole: bool

    def count(self, verdict: str) -> int:
        """Return the number of jobs with a verdict."""
        return sum(job.verdict == verdict for job in self.jobs)

    def in_words(self) -> str:
        """Return the number of jobs per verdict, as text."""
        counts = (f"{self.count(verdict)} {verdict}" for verdict in (SAME, LEAKS, UNSTEADY, FAILED))
        return f"{units.pluralize(len(self.jobs), 'job')}: {', '.join(counts)}"

    def as_rows(self, every: bool) -> list[dict[str, Any]]:
        """Return the jobs whose texts differ, or all jobs, as plain data."""
        return [asdict(job) for job in self.jobs if every or job.verdict != SAME]


def run_order_check(
    plan: Plan, database: Path, emit: EventSink, launcher: Launcher | None = None
) -> OrderCheckResult:
    """Run the jobs in three orders and compare. Raises SweepFileError when sampling is on."""
    if any(entry.generation.do_sample for entry in plan.entries):
        raise SweepFileError(
            "with do_sample, texts differ at random", hint="check the order with greedy decoding"
        )
    plan = api.check_plan(plan, database, emit)
    done: list[api.SweepResult] = []

    def run(part: Plan) -> RowsByJob:
        done.append(api.run_checked(part, database, emit, launcher))
        return texts_by_job(part, done[-1])

    def interrupted() -> bool:
        return any(swept.state != SweepState.DONE for swept in done)

    alone = run(variant(plan, "alone", plan.jobs, "job"))
    found = [alone]
    for name, order in (("in order", plan.jobs), ("reversed", plan.jobs[::-1])):
        found.append({} if interrupted() else run(variant(plan, name, order, "worker")))
    differing = [job for job in plan.jobs if texts_differ(job, found)]
    again: RowsByJob = {}
    if differing and not interrupted():
        again = run(variant(plan, "alone again", differing, "job"))
    jobs = [compare(job, found, again) for job in plan.jobs if job.skip_reason is None]
    return OrderCheckResult(jobs, [swept.id for swept in done], not interrupted())


def variant(plan: Plan, name: str, order: Sequence[PlannedJob], isolation: str) -> Plan:
    """Return a plan with the jobs in an order; `isolation`: a worker per job or per model.

    Fallbacks are removed: only the texts of the model itself can be compared.
    """
    wanted = [job for job in order if job.skip_reason is None]
    named = f"{plan.sweep.name or 'check-order'}: {name}"
    return replace(
        plan,
        sweep=plan.sweep.model_copy(update={"name": named, "order": "listed"}),
        entries=tuple(replace(entry, isolation=isolation, fallbacks=()) for entry in plan.entries),
        jobs=tuple(replace(job, position=i) for i, job in enumerate(wanted)),
    )


def texts_by_job(part: Plan, swept: api.SweepResult) -> RowsByJob:
    """Return the stored row of each job."""
    with Reader(swept.database) as reader:
        rows = reader.results(swept.id)
    return {job_key(job): row for job, row in zip(part.jobs, rows, strict=True)}


def job_key(job: PlannedJob) -> Key:
    """Return a key of a job that does not depend on its position."""
    return job.entry, job.prompt, job.images, job.repeat


def texts_differ(job: PlannedJob, found: Sequence[RowsByJob]) -> bool:
    """Return True if all runs of a job ended ok and their texts differ."""
    rows = [rows_by_job.get(job_key(job)) for rows_by_job in found]
    if any(row is None or row["outcome"] != Outcome.OK for row in rows):
        return False
    return len({row["raw_text"] for row in rows if row is not None}) > 1


def compare(job: PlannedJob, found: Sequence[RowsByJob], again: RowsByJob) -> OrderComparison:
    """Compare the texts of one job."""
    rows = [rows_by_job.get(job_key(job)) or {} for rows_by_job in found]
    verdict = SAME
    if any(row.get("outcome") != Outcome.OK for row in rows):
        verdict = FAILED
    elif texts_differ(job, found):
        second = again.get(job_key(job)) or {}
        steady = second.get("raw_text") == rows[0]["raw_text"]
        verdict = LEAKS if steady else UNSTEADY
    first = next((row for row in rows if row), Results())
    return OrderComparison(
        model=first.get("model", ""),
        image=first.get("image"),
        prompt=first.get("prompt", ""),
        repeat=job.repeat,
        verdict=verdict,
        alone=rows[0].get("text"),
        in_order=rows[1].get("text"),
        reversed=rows[2].get("text"),
    )


def order_check_exit_code(checked: OrderCheckResult) -> int:
    """Return the exit code for a result."""
    if not checked.whole:
        return EXIT_INTERRUPTED
    return EXIT_JOBS_FAILED if checked.count(LEAKS) or checked.count(FAILED) else EXIT_OK
