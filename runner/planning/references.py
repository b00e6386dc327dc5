"""What a sweep's jobs are expected to answer, and the metrics they are scored by.

It brings together the sweep's file of answers (`runner.scoring`) and its jobs. Storing them is
`runner.database.sweep_writer`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from schemas.sweep import Sweep

from ..errors import SweepFileError
from ..scoring import match_references, metrics, reference_file, vqa
from ..scoring.match_references import JobKey
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
    return load_references(base / Path(sweep.answers).expanduser(), sweep.scoring, asked)


def load_references(
    file: Path, scoring: Sequence[str] | None, asked: Iterable[JobKey]
) -> ReferenceAnswers:
    """What a file says of the jobs. Raises SweepFileError with all that is wrong with it."""
    found = match_references.match(file, reference_file.read(file), list(asked))
    if scoring and "vqa" in scoring:
        wrong = sorted({len(some) for some in found.values()} - {vqa.PEOPLE})
        if wrong:
            raise SweepFileError(
                f"scoring by vqa needs ten answers to each question, one for each of ten people;"
                f" in {file} some have {wrong[0]}",
                hint="leave vqa out of scoring, or leave scoring out",
            )
    chosen = scoring or metrics.default_metrics(list(found.values()))
    return ReferenceAnswers(found, tuple(dict.fromkeys(chosen)))
