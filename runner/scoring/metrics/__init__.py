"""The metrics: one file each here, and those of other packages (entry points `vlmsweep.metrics`).

A file defines a class derived from `runner.scoring.metric.Metric`; nothing else names it. An entry
point leads to such a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import MappingProxyType

from ...errors import VlmsweepError
from ..metric import Metric

ENTRY_POINTS = "vlmsweep.metrics"
MAX_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one answer, 0 to 1. `expected`: the accepted answer it was compared with."""

    metric: str
    value: float
    expected: str


@cache
def known_metrics() -> Mapping[str, Metric]:
    """All metrics by name, that of the highest priority first.

    Raises VlmsweepError when an installed package's metric cannot be used.
    """
    registry: dict[str, Metric] = {}
    for kind in [*built_in_metrics(), *installed_metrics()]:
        if kind.name in registry:
            raise VlmsweepError(
                f"two metrics are called {kind.name!r}",
                hint=f"rename or uninstall that of {kind.__module__}",
            )
        registry[kind.name] = kind()
    ordered = sorted(registry.values(), key=lambda metric: (-metric.priority, metric.name))
    return MappingProxyType({metric.name: metric for metric in ordered})


def built_in_metrics() -> Iterator[type[Metric]]:
    """The class of each file in this folder."""
    for module in iter_modules(__path__, f"{__name__}."):
        for value in vars(import_module(module.name)).values():
            if (
                isinstance(value, type)
                and issubclass(value, Metric)
                and value.__module__ == module.name
            ):
                yield value


def installed_metrics() -> Iterator[type[Metric]]:
    """The classes that installed packages register. Raises VlmsweepError."""
    for point in entry_points(group=ENTRY_POINTS):
        hint = f"update or uninstall {point.dist.name if point.dist else point.value}"
        try:
            kind = point.load()
        except Exception as error:
            message = f"the metric {point.name!r} cannot be imported: {error}"
            raise VlmsweepError(message, hint=hint) from error
        if not (isinstance(kind, type) and issubclass(kind, Metric)):
            raise VlmsweepError(f"the metric {point.name!r} is not a subclass of Metric", hint=hint)
        yield kind


def score_answer(answer: str, accepted: Sequence[str], names: Sequence[str]) -> list[Score]:
    """Scores an answer by each of the named metrics that applies; none without accepted answers.

    Only the first 100,000 characters of an answer are used. A metric whose package is no longer
    installed gives no score, rather than lose the run.
    """
    known = known_metrics()
    chosen = [known[name] for name in names if name in known] if accepted else []
    return [
        Score(metric.name, *metric.score(answer[:MAX_CHARACTERS], accepted))
        for metric in chosen
        if metric.applies(accepted)
    ]


def default_metrics(questions: Sequence[Sequence[str]]) -> list[str]:
    """Names of the metrics for these questions' accepted answers; the first sums a model up."""
    return [
        name
        for name, metric in known_metrics().items()
        if metric.by_default and all(map(metric.applies, questions or [()]))
    ]
