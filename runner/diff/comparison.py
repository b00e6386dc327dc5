"""A complete comparison: models, jobs, configuration changes and regressions.

It puts together what its neighbours find, and gives it as rows or as one object. It draws
nothing: that is `runner.diff.view`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

from ..errors import QueryError
from . import config_changes
from .config_changes import ConfigChange
from .model_comparison import ModelComparison
from .pairing import Change, JobPair, ModelPair, pair_jobs, pair_models
from .ratios import ratios
from .regression import Regression, Thresholds, find_regressions
from .score_comparison import compare_scores
from .side import Record, Snapshot

UNCHANGED = ("same", "same_run")
STREAM_FIELDS = (
    *("outcome", "text", "message", "latency_s", "output_tokens", "peak_rss_bytes"),
    *("peak_device_bytes", "job_id", "run_id"),
)


@dataclass(slots=True)
class Comparison:
    """The comparison of two sides."""

    a: Snapshot
    b: Snapshot
    models: list[ModelComparison]
    pairs: list[JobPair]
    settings: list[ConfigChange]
    environment: list[ConfigChange]
    limits: Thresholds
    reasons: list[Regression]

    @property
    def regression(self) -> bool:
        """Whether B is worse, as `runner.diff.regression` has it."""
        return bool(self.reasons)

    def pairs_with(self, *wanted: Change) -> list[JobPair]:
        """The jobs that went one of these ways."""
        return [pair for pair in self.pairs if pair.change in wanted]

    def rows(self) -> Iterator[Record]:
        """A row per job of either side."""
        return (self.row(pair) for pair in self.pairs)

    def row(self, pair: JobPair) -> Record:
        """One job, with both sides' figures."""
        job = pair.newest
        row: Record = {
            "model": self.models[pair.model_pair].name,
            "image": ", ".join(image["name"] for image in job["images"]) or None,
            "prompt": job["prompt"],
            "repeat": job["repeat"],
            "change": pair.change,
        }
        for key in STREAM_FIELDS:
            for side, of in (("a", pair.a), ("b", pair.b)):
                row[f"{key}_{side}"] = of[key] if of else None
        return row

    def as_dict(self) -> dict[str, Any]:
        """All of it; of the jobs only those with a change."""
        changed = [self.row(pair) for pair in self.pairs if pair.change not in UNCHANGED]
        return {
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            "regression": self.regression,
            "reasons": [asdict(reason) for reason in self.reasons],
            "limits": asdict(self.limits),
            "models": [asdict(model) for model in self.models],
            "settings": [asdict(one) for one in self.settings],
            "environment": [asdict(one) for one in self.environment],
            "jobs": changed,
        }


def compare(a: Snapshot, b: Snapshot, limits: Thresholds) -> Comparison:
    """Holds two sides against each other. Raises QueryError when they share no job."""
    both = pair_models(a, b)
    found = list(pair_jobs(a, b, both))
    if not any(pair.a and pair.b for pair in found):
        raise QueryError(
            f"{a.choice.text!r} and {b.choice.text!r} have no job in common",
            hint="jobs are equal when model, image's bytes, prompt and repeat are;"
            " vlmsweep show SWEEP --runs lists them",
        )
    mine: dict[int, list[JobPair]] = {}
    for pair in found:
        mine.setdefault(pair.model_pair, []).append(pair)
    models = [compared(a, b, model_pair, mine.get(i, [])) for i, model_pair in enumerate(both)]
    settings = config_changes.compare_settings(a, b, both, found)
    around = config_changes.environments(a, b, both)
    return Comparison(
        a, b, models, found, settings, around, limits, list(find_regressions(models, limits))
    )


def compared(
    a: Snapshot, b: Snapshot, model_pair: ModelPair, mine: list[JobPair]
) -> ModelComparison:
    """One model's counts, ratios and scores."""
    counted = Counter(pair.change for pair in mine)
    counts: dict[Change, int] = {change: counted[change] for change in get_args(Change)}
    if model_pair.a is None or model_pair.b is None:
        side, place, of = ("a", model_pair.a, a) if model_pair.b is None else ("b", model_pair.b, b)
        return ModelComparison(of.models[place or 0].name, side, counts, {})
    answered = [pair for pair in mine if pair.both_ok]
    scores = compare_scores(answered)
    figures = ratios(answered, a.models[model_pair.a], b.models[model_pair.b])
    return ModelComparison(b.models[model_pair.b].name, "both", counts, figures, scores)
