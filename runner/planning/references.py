"""What a sweep's jobs are expected to answer, and the metrics they are scored by.

It brings together the sweep's file of answers (`runner.scoring`) and its jobs. Storing them is
`runner.database.sweep_writer`'s business.
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
    """What the sweep's own file says of its jobs; its path is relative to `base`."""
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
    """What a file says of the jobs. Raises SweepFileError with all that is wrong with it."""
    accepted = match_references.match(file, reference_file.read(file), list(asked))
    questions = list(accepted.values())
    for name in scoring or ():
        check_metric(name, questions, file)
    chosen = scoring or default_metrics(questions)
    return ReferenceAnswers(accepted, tuple(dict.fromkeys(chosen)))


def check_metric(name: str, questions: Sequence[Sequence[str]], file: Path) -> None:
    """Raises SweepFileError when there is no such metric, or when it cannot score a question."""
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
