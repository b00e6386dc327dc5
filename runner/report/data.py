"""The data of a report: plain dataclasses between the database and the pages.

Figures are as stored: seconds, bytes and tokens per second, unrounded, None if unknown. Texts are
as stored too, hostile ones included: whoever shows them makes them harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.load_spec import LoadSpec

from ..database.load_options import read_load_spec

Record = Mapping[str, Any]
MOST = 0.9


@dataclass(frozen=True, slots=True)
class LoadAttempt:
    """One way a model was loaded: as first named, or a fallback.

    `row` is of `sweep_models`, `asked` of `models` as asked for, `workers` those that tried it.
    """

    row: Record
    asked: Record
    workers: list[Worker]

    @property
    def spec(self) -> LoadSpec:
        """The requested load options."""
        return read_load_spec(self.row["load_spec"])

    @property
    def loaded(self) -> Worker | None:
        """The latest worker that had the model ready; None when none had."""
        return next((w for w in reversed(self.workers) if w.row["load_s"] is not None), None)


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the sweep. `number` is its place in the table, from 1.

    `summary` is its row of the guide's table, `outcomes` counts its jobs by outcome (None: not
    ended; `unusable_image`: its image could not be read), `latencies` are
    those of its ok runs in seconds, `ways` how it was loaded, in turn, `given_up` jobs that were
    skipped because it had failed too often, `remarks` what the checks of its texts come to.
    """

    number: int
    name: str
    summary: Record
    outcomes: Mapping[str | None, int]
    latencies: list[float]
    variants: list[LoadAttempt]
    given_up: int = 0
    remarks: str | None = None

    @property
    def works(self) -> str:
        """The share of jobs that ended ok: all, most, some, none; or the model is waiting.

        Unreadable images and excluded jobs do not count against a model.
        """
        ok = self.summary["ok"]
        lost = self.summary["failed"] + self.given_up
        if not ok:
            return "none" if lost else "waiting"
        if lost or self.summary["waiting"]:
            return "most" if ok / (ok + lost + self.summary["waiting"]) >= MOST else "some"
        return "all"


@dataclass(frozen=True, slots=True)
class Worker:
    """One life of a process: its row, the model it held, and its memory over time."""

    row: Record
    model: int
    samples: list[Record]
    found: Record = field(default_factory=dict)
    environment: Record | None = None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """The answer of one model to one question, or the failure.

    Repeats with the same outcome and text are one answer, `times` counts them; `row` is the
    first's run. `fallback` is True if a fallback variant gave it; `scored` holds its
    checks and score, None without text.
    """

    model: int
    row: Record
    times: int = 1
    fallback: bool = False
    scored: Record | None = None

    @property
    def outcome(self) -> str:
        """The run's outcome, or waiting."""
        return self.row["outcome"] or "waiting"


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt about an image, and each model's answer, in the order of the sweep.

    `accepted` are the reference answers; empty if none are known.
    """

    prompt: Record
    answers: list[AnswerRow]
    accepted: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImageCard:
    """A group of images and all questions about it.

    Mostly one image; none for prompts without, several where they were shown at once.
    """

    images: list[Record]
    questions: list[Question]


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """One way a model failed, and how often.

    `model` is None if every model is concerned, because an image could not be read. `row` is
    the first such run with its worker's facts, `jobs` how many jobs met it, `recovered` how many of
    those ended ok in a later attempt, `examples` names some, `log` is the end of its worker's log
    (None when there is none).
    """

    model: int | None
    row: Record
    jobs: int
    recovered: int
    examples: list[str]
    log: str | None


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions and machine, and which models' workers ran in it; `numbers` is empty for the
    supervisor's own.
    """

    row: Record
    numbers: list[int]


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a whole report. `spec` is the requested sweep with defaults filled in.

    `gone_since` is when the supervisor of a running sweep wrote last, if it is gone.
    """

    sweep: Record
    gone_since: str | None
    spec: Record
    models: list[Model]
    cards: list[ImageCard]
    failures: list[FailureGroup]
    environments: list[Environment]

    @property
    def title(self) -> str:
        """The sweep's name, or its uid."""
        return str(self.sweep["name"] or self.sweep["uid"])

    @property
    def workers(self) -> list[Worker]:
        """All workers, in the order they were started."""
        all_of_them = [w for m in self.models for variant in m.variants for w in variant.workers]
        return sorted(all_of_them, key=lambda worker: int(worker.row["number"]))

    @property
    def answers(self) -> int:
        """The number of answers on the cards."""
        return sum(len(q.answers) for card in self.cards for q in card.questions)
