"""The plot of one worker's memory over its life, on a ground coloured by phase."""

from __future__ import annotations

from collections.abc import Sequence

from ..text import units
from .data import Record, Worker
from .plots import Spec

POINTS = 240  # more would not be seen
PHASES = ("start", "download", "load", "prefill", "waiting", "generate", "stop")
WIDTH, HEIGHT = 300, 130
LINE = {"type": "line", "color": "var(--text)", "strokeWidth": 1.5}


def memory(worker: Worker) -> Spec | None:
    """Resident memory, and dashed that of the device; None for one that was not seen twice."""
    points = downsample(worker.samples)
    if len(points) < 2:
        return None
    values = [
        {"at": p["at_s"], "gb": p["rss_bytes"] / 1e9, "device": (p["device_bytes"] or 0) / 1e9}
        for p in points
    ]
    x = {
        "type": "quantitative",
        "scale": {"domain": [0, points[-1]["at_s"]], "nice": False},
        "title": "seconds",
        "axis": {"tickCount": 5, "grid": False},
    }
    y = {"type": "quantitative", "title": "GB", "axis": {"tickCount": 3, "format": "~g"}}
    at = {**x, "field": "at"}
    layer = [
        phase_bands(phases(points), x),
        {"mark": LINE, "encoding": {"x": at, "y": {**y, "field": "gb"}}},
    ]
    if any(value["device"] for value in values):
        dashed = LINE | {"strokeDash": [3, 2]}
        layer.append({"mark": dashed, "encoding": {"x": at, "y": {**y, "field": "device"}}})
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": values},
        "layer": layer,
    }


def phase_bands(parts: Sequence[Spec], x: Spec) -> Spec:
    """A band for each stretch of time."""
    scale = {"domain": list(PHASES), "range": [f"var(--{name})" for name in PHASES]}
    return {
        "data": {"values": parts},
        "mark": {"type": "rect", "opacity": 0.35},
        "encoding": {
            "x": {**x, "field": "begin"},
            "x2": {"field": "end"},
            "color": {"field": "phase", "type": "nominal", "scale": scale, "legend": None},
            "description": {"field": "tip"},
        },
    }


def downsample(samples: Sequence[Record]) -> Sequence[Record]:
    """Reduce the samples to this number: the maximum of each interval, the first and the last."""
    if len(samples) <= POINTS:
        return samples
    inner = samples[1:-1]
    size = -(-len(inner) // (POINTS - 2))
    stretches = [inner[i : i + size] for i in range(0, len(inner), size)]
    highest = [max(part, key=lambda row: int(row["rss_bytes"])) for part in stretches]
    return [samples[0], *highest, samples[-1]]


def phases(points: Sequence[Record]) -> list[Spec]:
    """The stretches of time a worker was in one phase, by its samples."""
    out: list[Spec] = []
    for point in points:
        if out:
            out[-1]["end"] = point["at_s"]
        if not out or out[-1]["phase"] != point["phase"]:
            begin = point["at_s"] if out else 0
            out.append({"phase": point["phase"], "begin": begin, "end": point["at_s"]})
    for part in out:
        took = units.seconds(part["end"] - part["begin"])
        part["tip"] = f"{part['phase']}: {took} from {units.seconds(part['begin'])} on"
    return out
