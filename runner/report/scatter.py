"""The plot of speed against memory, where each point bears its model's number.

Numbers are placed here, next to their points without overlap, since similar models are close
together. The other plots are in `plots`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..text import units
from .data import Model
from .plots import Spec, label

WIDTH, HEIGHT = 345, 220  # pixels, without the axes' words
LARGE_RATIO = 20
DOT, LETTER, LINE = 9, 7, 12  # pixels: a point, a digit's width, a number's height
SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
Point = tuple[float, float]


def speed(models: Sequence[Model]) -> Spec | None:
    """Tokens per second against peak memory; None if fewer than two models have both."""
    known = [
        m
        for m in models
        if m.summary["generation_tps"] is not None and m.summary["peak_rss_bytes"] is not None
    ]
    if len(known) < 2:
        return None
    values: list[dict[str, Any]] = [
        {
            "number": str(m.number),
            "tps": m.summary["generation_tps"],
            "gb": m.summary["peak_rss_bytes"] / 1e9,
            "tip": f"{label(m)}: {units.rate(m.summary['generation_tps'])} tokens/s in "
            f"{units.size(m.summary['peak_rss_bytes'])}",
        }
        for m in known
    ]
    x, across = axis("peak memory, GB", [value["gb"] for value in values], WIDTH)
    y, up = axis("answer tokens/s", [value["tps"] for value in values], HEIGHT)
    points = [(across(value["gb"]), HEIGHT - up(value["tps"])) for value in values]
    places = place_labels(points, [value["number"] for value in values])
    for value, place in zip(values, places, strict=True):
        value["at_x"], value["at_y"] = place
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "data": {"values": values},
        "layer": [dots(x, y), numbers()],
    }


def dots(x: Spec, y: Spec) -> Spec:
    """A point per model."""
    mark = {"type": "point", "shape": "circle", "filled": True, "size": 64, "opacity": 1}
    return {
        "mark": mark | {"color": "var(--accent)"},
        "encoding": {
            "x": {"field": "gb", **x},
            "y": {"field": "tps", **y},
            "description": {"field": "tip"},
        },
    }


def numbers() -> Spec:
    """The numbers, at the pixels they were placed at."""
    bare = {"type": "quantitative", "scale": None}
    return {
        "mark": {"type": "text"},
        "encoding": {
            "x": {"field": "at_x", **bare},
            "y": {"field": "at_y", **bare},
            "text": {"field": "number"},
        },
    }


def axis(title: str, values: Sequence[float], size: int) -> tuple[Spec, Callable[[float], float]]:
    """An axis from 0, or by powers of ten where values lie far apart; and a value's pixel on it."""
    low, high = min(values), max(values)
    drawn = {"tickCount": 4, "format": ",.4~r"}
    if low > 0 and high / low > LARGE_RATIO:
        ends = (low / 1.5, high * 1.5)
        scale: Spec = {"type": "log", "domain": ends, "nice": False}
        whole = math.log(ends[1] / ends[0])

        def pixel(value: float) -> float:
            return math.log(value / ends[0]) / whole * size
    else:
        top = high * 1.1 or 1
        scale = {"domain": (0, top), "nice": False}

        def pixel(value: float) -> float:
            return value / top * size

    return {"type": "quantitative", "title": title, "scale": scale, "axis": drawn}, pixel


def place_labels(points: Sequence[Point], numbers: Sequence[str]) -> list[Point]:
    """The position of each number: the nearest free place next to its point."""
    taken = [(x, y, DOT, DOT) for x, y in points]
    out = []
    for (x, y), number in zip(points, numbers, strict=True):
        width = LETTER * len(number) + 2
        places = [
            (x + dx * (DOT + width) / 2 * far, y + dy * (DOT + LINE) / 2 * far)
            for far in (1, 1.7, 2.5, 3.5)
            for dx, dy in SIDES
        ]
        free = (
            at for at in places if not any(boxes_overlap((*at, width, LINE), box) for box in taken)
        )
        at = next(free, places[0])
        taken.append((*at, width, LINE))
        out.append(at)
    return out


def boxes_overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether two boxes, by middle and size, lie over each other."""
    return abs(a[0] - b[0]) * 2 < a[2] + b[2] and abs(a[1] - b[1]) * 2 < a[3] + b[3]
