"""Reference answers of a sweep's jobs, and the metrics that score them.

Matches the sweep's file of answers (`runner.scoring`) with its jobs. They are stored by
`runner.database.sweep_writer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from schemas.sweep import Sweep

from ..errors import SweepFileError
from ..paths import expand_home
from ..scoring import match_references, reference_file
from ..scoring.match_references import JobKey
from ..scoring.metrics import default_metrics, known_metrics
from ..text.suggest import suggest
from .plan import EMPTY, PlannedJob, ReferenceAnswers


def references_of_sweep(
    sweep: Sweep, base: Path, images: Sequence[Path], jobs: Iterable[PlannedJob]
) -> ReferenceAnswers:
    """Return the answers of the file that the sweep names, with a path relative to `base`.

    Raises SweepFileError.
    """
    if sweep.answers is None:
        return EMPTY
    names = [str(image) for image in images]
    asked = (
        JobKey(
            job.position,
            tuple(names[image] for image in job.images),
            sweep.prompts[job.prompt].name,
            sweep.prompts[job.prompt].question,
        )
        for job in jobs
    )
    return load_references(base / expand_home(Path(sweep.answers)), sweep.scoring, asked)


def load_references(
    file: Path, scoring: Sequence[str] | None, asked: Iterable[JobKey]
) -> ReferenceAnswers:
    """Return the answers that a file gives for the jobs. Raises SweepFileError with all errors."""
    accepted = match_references.match(file, reference_file.read(file), list(asked))
    questions = list(accepted.values())
    for name in scoring or ():
        check_metric(name, questions, file)
    chosen = scoring or default_metrics(questions)
    return ReferenceAnswers(accepted, tuple(dict.fromkeys(chosen)))


def check_metric(name: str, questions: Sequence[Sequence[str]], file: Path) -> None:
    """Raises SweepFileError for an unknown metric, or if it cannot score a question."""
    metric = known_metrics().get(name)
    if metric is None:
        raise SweepFileError(
            f"there is no metric {name!r}{suggest(name, known_metrics())}",
            hint=f"known: {', '.join(known_metrics())}",
        )
    counts = sorted({len(accepted) for accepted in questions if not metric.applies(accepted)})
    if counts:
        raise SweepFileError(
            f"scoring by {name} needs {metric.requirement()}; in {file} some have {counts[0]}",
            hint=f"leave {name} out of scoring, or leave scoring out",
        )
