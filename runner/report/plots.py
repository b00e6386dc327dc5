"""Vega-Lite specifications of the report's plots; rendered by `runner.report.svg`.

Colours are CSS names of the page, so that they follow its theme. Every mark has a text
label, which the page shows as a tooltip.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles
from typing import Any

from schemas.states import Outcome

from ..text import units
from ..text.sanitize import strip_control_characters
from ..view.table_renderer import truncate_middle
from .data import Model, Record

Spec = dict[str, Any]

WIDTH = 420
ROW = 20
NAME = 22  # characters of a model's name
OUTCOMES = (*(outcome.value for outcome in Outcome), "waiting", "unusable_image")


def label(model: Model) -> str:
    """`3 SmolVL…M-Instruct`, without its owner, unlike any other's by its number."""
    name = strip_control_characters(model.name).rstrip("/").rpartition("/")[2] or model.name
    return f"{model.number} {truncate_middle(name, NAME)}"


def rows_of(models: Sequence[Model]) -> Spec:
    """The axis of models, in the table's order."""
    order = [label(model) for model in models]
    axis = {"labelColor": "var(--text)", "title": None, "grid": False}
    return {"field": "model", "type": "nominal", "scale": {"domain": order}, "axis": axis}


def framed(count: int, layer: list[Spec], values: Sequence[Record]) -> Spec:
    """A plot with one row per model."""
    return {
        "width": WIDTH,
        "height": ROW * count + 34,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": values},
        "layer": layer,
    }


def load(models: Sequence[Model]) -> Spec | None:
    """Mean load time per model."""
    values = [
        {"model": label(m), "value": m.summary["load_s"]}
        for m in models
        if m.summary["load_s"] is not None
    ]
    return bars(models, values, "loaded in") if values else None


def peaks(models: Sequence[Model]) -> Spec | None:
    """Highest memory per model."""
    values = [
        {
            "model": label(m),
            "value": m.summary["peak_rss_bytes"] / 1e9,
            "words": units.size(m.summary["peak_rss_bytes"]),
        }
        for m in models
        if m.summary["peak_rss_bytes"] is not None
    ]
    return bars(models, values, "took", "GB") if values else None


def latency(models: Sequence[Model]) -> Spec | None:
    """Mean latency per model in seconds, with the range of most answers."""
    values = []
    for m in models:
        if m.summary["latency_s"] is not None:
            low, high = spread(m.latencies)
            value = m.summary["latency_s"]
            values.append({"model": label(m), "value": value, "low": low, "high": high})
    return bars(models, values, "answered in") if values else None


def spread(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The tenth and the ninetieth part's bounds; None of fewer than five."""
    if len(values) < 5:
        return None, None
    cut = quantiles(values, n=10, method="inclusive")
    return cut[0], cut[-1]


def bars(models: Sequence[Model], values: list[Spec], verb: str, unit: str = "seconds") -> Spec:
    """A bar per model, labelled with its value and unit."""
    for value in values:
        value.setdefault("words", units.seconds(value["value"]))
        value["tip"] = f"{value['model']}: {verb} {value['words']}"
        if value.get("high") is not None:
            spread_words = f"{units.seconds(value['low'])} to {units.seconds(value['high'])}"
            value["tip"] += f", most in {spread_words}"
    top = max(value.get("high") or 0 for value in values)
    top = max(top, *(value["value"] for value in values))
    # Room on the right for the words.
    x = {
        "field": "value",
        "type": "quantitative",
        "title": unit,
        "scale": {"domain": [0, top * 1.3 or 1], "nice": False},
        "axis": {"tickCount": 5},
    }
    y = rows_of(models)
    tip = {"description": {"field": "tip"}}
    layer: list[Spec] = [
        {
            "mark": {"type": "bar", "color": "var(--accent)", "height": 11, "cornerRadiusEnd": 2},
            "encoding": {"x": x, "y": y, **tip},
        },
        {
            "mark": {"type": "rule", "color": "var(--text)", "opacity": 0.6},
            "transform": [{"filter": "isValid(datum.high)"}],
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, **tip},
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 5},
            "transform": [{"calculate": "max(datum.value, datum.high || 0)", "as": "end"}],
            "encoding": {"x": {**x, "field": "end"}, "y": y, "text": {"field": "words"}},
        },
    ]
    return framed(len(models), layer, values)


def outcomes(models: Sequence[Model]) -> Spec:
    """Outcomes of each model's jobs as shares of a bar."""
    values = []
    for m in models:
        total = sum(m.outcomes.values())
        for outcome, count in m.outcomes.items():
            name = outcome or "waiting"
            tip = f"{label(m)}: {count} of {total} {name.replace('_', ' ')}"
            share = count / total
            at = OUTCOMES.index(name) if name in OUTCOMES else len(OUTCOMES)
            values.append(
                {"model": label(m), "outcome": name, "share": share, "tip": tip, "at": at}
            )
    colours = [f"var(--{name.replace('_', '-')})" for name in OUTCOMES]
    layer: list[Spec] = [
        {
            "mark": {"type": "bar", "height": 12, "stroke": "var(--page)", "strokeWidth": 1},
            "encoding": {
                "x": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "share of its jobs",
                    "axis": {"format": "~%", "values": [0, 0.5, 1]},
                },
                "y": rows_of(models),
                "color": {
                    "field": "outcome",
                    "type": "nominal",
                    "scale": {"domain": list(OUTCOMES), "range": colours},
                    "legend": None,
                },
                "order": {"field": "at"},
                "description": {"field": "tip"},
            },
        }
    ]
    return framed(len(models), layer, values)
