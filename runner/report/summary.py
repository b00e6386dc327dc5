"""The report's first words: which models work, which is fastest, in what memory.

Sentences and figures from `facts`, in plain text; nothing is marked up here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..text import units
from ..view.sweep_state import gone_message
from .data import MOST, Model, ReportData


@dataclass(frozen=True, slots=True)
class HeadlineFigure:
    """One large figure: what it is, its value, and whose it is."""

    title: str
    value: str
    detail: str


def headline(facts: ReportData) -> str:
    """`5 of 8 models answered everything, 2 some of it and 1 nothing.`"""
    total = len(facts.models)
    counts = {word: sum(m.works == word for m in facts.models) for word in WORDS}
    if counts["all"] == total:
        whole = {1: "The model", 2: "Both models"}.get(total, f"All {total} models")
        return f"{whole} answered everything."
    if counts["waiting"] == total:
        return "No model was tried yet."
    parts = [f"{counts['all'] or 'None'} of {total} models answered everything"]
    parts += [f"{counts[word]} {words}" for word, words in WORDS.items() if words and counts[word]]
    return f"{', '.join(parts[:-1])} and {parts[-1]}." if len(parts) > 1 else f"{parts[0]}."


WORDS = {
    "all": "",
    "most": f"at least {MOST:.0%} of it",
    "some": "some of it",
    "none": "nothing",
    "waiting": "not tried yet",
}


def asides(facts: ReportData) -> str:
    """Returns notes for the top: a supervisor that is gone, images that could not be read."""
    gone = gone_message(facts.sweep, facts.gone_since) if facts.gone_since else None
    return " ".join(filter(None, (gone, image_failures_note(facts))))


def image_failures_note(facts: ReportData) -> str | None:
    """A note on images that could not be read; they do not count against a model."""
    broken = {row["id"] for card in facts.cards for row in card.images if row["error_class"]}
    if not broken:
        return None
    words = units.pluralize(len(broken), "image")
    return f"{words} could not be read, so no model was run on it."


def working_models(facts: ReportData) -> list[Model]:
    """The models that work: (nearly) all the time, if any does, else at times."""
    good = [m for m in facts.models if m.works in ("all", "most")]
    return good or [m for m in facts.models if m.works == "some"]


def compared_models_note(facts: ReportData) -> str | None:
    """Whom the figures compare, where that is not all."""
    models = working_models(facts)
    if not models or len(models) == len(facts.models):
        return None
    seen = {m.works for m in models}
    share = "everything" if seen == {"all"} else WORDS["some" if "some" in seen else "most"]
    return f"Of those that answered {share}:"


def figures(facts: ReportData) -> list[HeadlineFigure]:
    """The winners among the models that work."""
    models = working_models(facts)
    out = []
    if (m := best(models, lambda m: m.summary["latency_s"])) is not None:
        out.append(
            HeadlineFigure("Fastest answer", units.seconds(m.summary["latency_s"]), at_cost(m))
        )
    if (m := best(models, lambda m: m.summary["peak_rss_bytes"])) is not None:
        speed = m.summary["latency_s"]
        detail = m.name if speed is None else f"{m.name}, {units.seconds(speed)} an answer"
        out.append(HeadlineFigure("Least memory", units.size(m.summary["peak_rss_bytes"]), detail))
    if (m := best(models, lambda m: m.summary["load_s"])) is not None:
        out.append(HeadlineFigure("Quickest to load", units.seconds(m.summary["load_s"]), m.name))
    if (m := best(models, lambda m: sort_descending(m.summary["score"]))) is not None:
        out.append(HeadlineFigure("Best score", units.share(m.summary["score"]), scored(m)))
    return out


def sort_descending(value: float | None) -> float | None:
    """So that the highest is the best."""
    return None if value is None else -value


def scored(model: Model) -> str:
    """`demo, by exact over 24 questions`."""
    row = model.summary
    return f"{model.name}, by {row['score_metric']} over {row['score_n']} questions"


def at_cost(model: Model) -> str:
    """`demo, in 448 MB`."""
    memory = model.summary["peak_rss_bytes"]
    return model.name if memory is None else f"{model.name}, in {units.size(memory)}"


def best(models: Sequence[Model], figure: Callable[[Model], float | None]) -> Model | None:
    """The model with the lowest value; None if no model has one."""
    known = [(value, m.number, m) for m in models if (value := figure(m)) is not None]
    return min(known)[2] if known else None


def remarks(model: Model, facts: ReportData) -> str | None:
    """Notes on a model: its most frequent failure and the variant that loaded it."""
    own = [failure for failure in facts.failures if failure.model == model.number]
    unrecovered = [f for f in own if f.jobs > f.recovered]
    out = []
    if unrecovered:
        most = max(unrecovered, key=lambda failure: failure.jobs - failure.recovered)
        count = most.jobs - most.recovered
        out.append(f"{count} × {most.row['message'] or most.row['outcome']}")
    if len(unrecovered) > 1:
        out.append(
            f"and {len(unrecovered) - 1} other failures" if len(unrecovered) > 2 else "and another"
        )
    out += [model.remarks] if model.remarks else []
    variant = next((variant for variant in reversed(model.variants) if variant.loaded), None)
    if variant is not None and variant.row["fallback_of"] is not None:
        tried = next(
            (w.row["message"] for w in model.variants[0].workers if w.row["message"]), None
        )
        out.append(f"loaded by a fallback, after: {tried}" if tried else "loaded by a fallback")
    return "; ".join(out) or None
