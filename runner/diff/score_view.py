"""A comparison's scores as text, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..text import units
from ..view.grid import Column, Grid, grid
from ..view.tables import percent

if TYPE_CHECKING:
    from .model_comparison import ModelComparison
    from .regression import Regression
    from .score_comparison import ScoreComparison

COLUMNS = (
    Column("model", "Model", least=12, middle=True),
    Column("metric", "Metric"),
    Column("questions", "Questions", "number"),
    Column("a", "A", least=len("83.3% (71–91)")),
    Column("b", "B", least=len("83.3% (71–91)")),
    Column("difference", "B-A in points", least=len("-12.5 (-30.0 to +3.1)")),
    Column("better", "Better", "number"),
    Column("worse", "Worse", "number"),
    Column("p_value", "p"),
)


def score_grid(models: list[ModelComparison]) -> Grid:
    """A row per model and metric that scored both sides."""
    return grid([as_row(model.name, score) for model in models for score in model.scores], COLUMNS)


def as_row(model: str, score: ScoreComparison) -> dict[str, Any]:
    """One metric as text; 95% intervals in brackets."""
    return {
        "model": model,
        "metric": score.metric,
        "questions": score.questions,
        "a": percent(score.a, score.a_low, score.a_high),
        "b": percent(score.b, score.b_low, score.b_high),
        "difference": f"{points(score.difference)} ({points(score.low)} to {points(score.high)})",
        "better": score.better,
        "worse": score.worse,
        "p_value": format_p(score.p_value),
    }


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}"


def format_p(p_value: float) -> str:
    """A p-value to two digits."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.2g}"


def reason(one: Regression) -> str:
    """A lower score as text."""
    means = f"{units.share(one.a or 0.0)} to {units.share(one.b or 0.0)}"
    change_range = f"{points(one.low or 0.0)} to {points(one.high or 0.0)} points"
    spread = f"({change_range}, p {format_p(one.p_value or 0.0)})"
    return f"{one.model}: {one.figure} from {means} {spread}"


def note(models: list[ModelComparison]) -> Iterator[str]:
    """Notes below the table."""
    if any(
        score.difference < 0 and not score.dropped for model in models for score in model.scores
    ):
        yield "A drop with p of 0.05 or more may be chance and does not count as a regression."
