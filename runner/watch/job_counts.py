"""Counts a sweep's jobs by model and outcome.

The database counts them from time to time; events update the counts in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .queries import VARIANTS_SQL, Row, WatchQueries


@dataclass(slots=True)
class JobCounts:
    """Jobs by model, and by model and outcome; `names` maps the row id of a variant to its
    model.
    """

    questions: WatchQueries
    sweep: int
    variants: dict[int, Row] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)

    def refresh(self) -> bool:
        """Count the jobs; return whether the counts changed."""
        variants = self.questions.all(VARIANTS_SQL, self.sweep)
        self.variants = {variant["id"]: variant for variant in variants}
        self.names = {
            id: self.variants[variant["fallback_of"] or id]["name"]
            for id, variant in self.variants.items()
        }
        jobs, outcomes = self.questions.count(self.sweep, variants)
        before = self.jobs, self.outcomes
        self.jobs = {self.names[first]: count for first, count in jobs.items()}
        self.outcomes = {self.names[first]: counts for first, counts in outcomes.items()}
        return before != (self.jobs, self.outcomes)

    def pace(self) -> dict[str, float]:
        """Return recent seconds per run, by model, for models that have started."""
        found = {}
        for id in self.variants:  # a fallback's row comes after its model's
            if (seconds := self.questions.pace(id)) is not None:
                found[self.names[id]] = seconds
        return found

    def model(self, variant: int) -> str:
        """Return the model's name by the row id of any of its variants."""
        return self.names.get(variant, "?")

    def add(self, model: str, outcome: str, jobs: int = 1) -> None:
        """Count jobs as done."""
        counted = self.outcomes.setdefault(model, {})
        counted[outcome] = counted.get(outcome, 0) + jobs

    def of(self, *outcomes: str) -> int:
        """Return the number of jobs with one of the outcomes, over all models."""
        return sum(of.get(one, 0) for of in self.outcomes.values() for one in outcomes)

    def left(self, model: str) -> int:
        """Return the number of a model's jobs without an outcome."""
        return self.jobs.get(model, 0) - sum(self.outcomes.get(model, {}).values())

    def snapshot(self) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """Return copies of both, for an event."""
        return dict(self.jobs), {name: dict(of) for name, of in self.outcomes.items()}
