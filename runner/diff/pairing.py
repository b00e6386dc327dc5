"""Pairs the models and jobs of two sides by content, not by their names.

Models are matched first: equal with equal settings, then equal under one name, then equal, then
with the same files elsewhere. Their jobs belong together when the prompt's words, the images'
bytes and the repeat are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, TypeVar

from schemas.states import Outcome

from .side import Record, Snapshot, SnapshotModel

Change = Literal[
    "same", "text", "new_failure", "fixed", "failure", "not_run", "same_run", "only_a", "only_b"
]
Thing = TypeVar("Thing")
NOT_TRIED = (None, "skipped", "interrupted")


@dataclass(slots=True)
class ModelPair:
    """A model on both sides, or on one only: its places in their lists."""

    a: int | None
    b: int | None


@dataclass(slots=True)
class JobPair:
    """A job on both sides, or on one only."""

    model_pair: int
    a: Record | None
    b: Record | None
    change: Change

    @property
    def newest(self) -> Record:
        """The job as the newer side tells it, if it does."""
        found = self.b or self.a
        assert found is not None
        return found

    @property
    def both_ok(self) -> bool:
        """Whether there are two answers, of two runs."""
        return self.change in ("same", "text")


def match(
    a: Sequence[Thing], b: Sequence[Thing], keys: Sequence[Callable[[Thing], Hashable | None]]
) -> Iterator[tuple[int | None, int | None]]:
    """Pairs indices by the first matching key, each once; unmatched ones come last.

    A key of None matches nothing.
    """
    left, right = dict.fromkeys(range(len(a))), dict.fromkeys(range(len(b)))
    found: dict[int, int] = {}
    for key in keys:
        waiting: dict[Hashable, list[int]] = {}
        for j in right:
            waiting.setdefault(key(b[j]), []).append(j)
        waiting.pop(None, None)
        for places in waiting.values():
            places.reverse()
        for i in [*left]:
            if places := waiting.get(key(a[i]), []):
                found[i] = places.pop()
                del left[i], right[found[i]]
        if not left or not right:
            break
    for i in range(len(a)):
        yield i, found.get(i)
    for j in right:
        yield None, j


def pair_models(a: Snapshot, b: Snapshot) -> list[ModelPair]:
    """The models of both sides."""
    keys: list[Callable[[SnapshotModel], Hashable | None]] = [
        lambda m: (*m.identity, m.name),
        lambda m: m.identity,
        lambda m: (m.source, m.location, m.name),
        lambda m: (m.source, m.location),
        fingerprint,
        folder,
    ]
    return [ModelPair(i, j) for i, j in match(a.models, b.models, keys)]


def fingerprint(model: SnapshotModel) -> Hashable | None:
    """The latest known fingerprint of a model's files."""
    known = [worker["fingerprint"] for worker in model.workers if worker["fingerprint"]]
    return known[-1] if known else None


def folder(model: SnapshotModel) -> Hashable | None:
    """A local model's name and its folder's name, so that a moved folder still matches."""
    return (model.name, PurePath(model.location).name) if model.source == "local" else None


def pair_jobs(a: Snapshot, b: Snapshot, models: Sequence[ModelPair]) -> Iterator[JobPair]:
    """All jobs of both sides, in the order of A's models and jobs."""
    of_a, of_b = by_model(a), by_model(b)
    for number, model_pair in enumerate(models):
        left = of_a.get(model_pair.a, []) if model_pair.a is not None else []
        right = of_b.get(model_pair.b, []) if model_pair.b is not None else []
        for i, j in match(left, right, (job_key_by_source, job_key_by_pixels)):
            mine, other = None if i is None else left[i], None if j is None else right[j]
            yield JobPair(number, mine, other, classify_change(mine, other))


def by_model(side: Snapshot) -> dict[int, list[Record]]:
    """A side's jobs per model."""
    found: dict[int, list[Record]] = {}
    for job in side.jobs:
        found.setdefault(job["model"], []).append(job)
    return found


def question_key(job: Record) -> Hashable:
    """A job's prompt and the content of its images."""
    return job["turns"], tuple(image["content"] or image["path"] for image in job["images"])


def job_key_by_source(job: Record) -> Hashable:
    """A job's question and its repeat."""
    return question_key(job), job["repeat"]


def job_key_by_pixels(job: Record) -> Hashable | None:
    """The same by the images' pixels: a file may have been saved again."""
    shown: tuple[Any, ...] = tuple(image["prepared_sha256"] for image in job["images"])
    return (job["turns"], shown, job["repeat"]) if shown and all(shown) else None


def classify_change(a: Record | None, b: Record | None) -> Change:
    """Classifies the change of a job between the sides."""
    if a is None:
        return "only_b"
    if b is None:
        return "only_a"
    if a["run_id"] is not None and a["run_id"] == b["run_id"]:
        return "same_run"
    if any(job["outcome"] in NOT_TRIED or job["unusable_image"] for job in (a, b)):
        return "not_run"
    if a["outcome"] == Outcome.OK:
        if b["outcome"] != Outcome.OK:
            return "new_failure"
        return "same" if a["text"] == b["text"] else "text"
    return "fixed" if b["outcome"] == Outcome.OK else "failure"
