"""The report as one HTML page that needs nothing else: style, script, plots and images inside.

Everything shown goes through `runner.text.sanitize`, then through Jinja's escaping, and the page
forbids itself every script and style but its own, by hash. Its content comes from `facts`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import VlmsweepError
from ..system.timestamps import utc_now
from ..text import units
from ..text.sanitize import strip_control_characters
from ..view import table_renderer, tables
from . import detail_tables, format, plots, scatter, timeline
from .data import ImageCard, Record, ReportData
from .summary import asides, compared_models_note, figures, headline, remarks
from .svg import EXTRA_HINT, EXTRA_MISSING, render_svg
from .thumbnails import Thumbnail, side, thumbnail

TEMPLATES = Path(__file__).with_name("templates")
TIMELINES = 60
IMAGES_SHOWN = 6
MOST_ACCEPTED = 10
Thumb = Callable[[Record], Thumbnail | None]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with its caption and, where colours mean something, their names."""

    title: str
    words: str
    svg: Any
    legend: Sequence[str] = ()


def page(facts: ReportData, images: bool = True) -> str:
    """The whole page. Raises VlmsweepError when the report extra is not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise VlmsweepError(f"{EXTRA_MISSING}: {error}", EXTRA_HINT) from error
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: sanitize_value(value, Markup),
    )
    environment.filters.update(FILTERS)
    # Our template files and vl-convert's rebuilt SVG are the only markup that is not escaped.
    style, script = (Markup(read_template_file(name)) for name in ("page.css", "page.js"))
    return environment.get_template("page.html.j2").render(
        facts=facts,
        policy=content_security_policy(style, script),
        style=style,
        script=script,
        version=__version__,
        now=utc_now(),
        verdict=headline(facts),
        aside=asides(facts),
        among=compared_models_note(facts),
        figures=figures(facts),
        **models_table(facts),
        **render_plots(facts, Markup),
        **answers(facts, images),
        **detail_tables.detail_tables(facts),
    )


def read_template_file(name: str) -> str:
    """A template file, embedded unchanged. It contains no end tag."""
    text = (TEMPLATES / name).read_text(encoding="utf-8").replace("\r", "")
    assert "</" not in text
    return text


def content_security_policy(style: str, script: str) -> str:
    """The Content-Security-Policy: embedded images, and scripts and styles with these hashes."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{digest(style)}'; script-src '{digest(script)}'"
    )


def digest(text: str) -> str:
    """A text's hash as a Content-Security-Policy writes it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def sanitize_value(value: Any, markup: type[str]) -> Any:
    """Any value as it may be shown: text without what steers or reorders a screen."""
    return (
        strip_control_characters(value)
        if isinstance(value, str) and not isinstance(value, markup)
        else value
    )


def kebab(name: str) -> str:
    """An outcome as a CSS class: memory-limit."""
    return name.replace("_", "-").replace(" ", "-")


FILTERS: dict[str, Callable[..., Any]] = {
    "kebab": kebab,
    "words": lambda name: name.replace("_", " "),
    "seconds": units.seconds,
    "size": units.size,
    "day": lambda text: text[:16].replace("T", " "),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: its column, the displayed text and the sort key."""

    column: Any
    text: str
    value: Any


class Row(list[Cell]):
    """A model's cells; `works` is its result class."""

    works = ""


def models_table(facts: ReportData) -> dict[str, Any]:
    """The guide's table, with the columns that the terminal shows too."""
    grid = tables.summary_table([{**m.summary, "notes": remarks(m, facts)} for m in facts.models])
    columns, rows = table_renderer.visible_cells(grid)
    table = []
    for model, words in zip(facts.models, rows, strict=True):
        cells = zip(columns, words, strict=True)
        row = Row(Cell(c, text, model.summary.get(c.key)) for c, text in cells)
        row.works = model.works
        table.append(row)
    return {"columns": columns, "table": table}


def render_plots(facts: ReportData, markup: type[str]) -> dict[str, Any]:
    """All plots; the timelines of those workers that took most, where there are too many."""
    models = facts.models
    wanted = (
        (plots.load(models), "Load time", "mean of its workers, without the download", ()),
        (plots.latency(models), "Inference time", "mean of ok answers; line: most of them", ()),
        (plots.outcomes(models), "Outcomes", "of each model's jobs", outcomes_of(facts)),
        (plots.peaks(models), "Peak memory", "highest of its workers", ()),
        (scatter.speed(models), "Speed against memory", "numbers as in the table", ()),
    )
    made = [
        Plot(title, words, markup(render_svg(spec, title)), legend)
        for spec, title, words, legend in wanted
        if spec
    ]
    peaks = sorted(facts.workers, key=lambda w: -(w.row["peak_rss_bytes"] or 0))
    chosen = {id(worker) for worker in peaks[:TIMELINES]}
    lines = [
        {
            "worker": worker,
            "name": models[worker.model - 1].name,
            "words": format.worker_exit_text(worker.row),
            "svg": (spec := timeline.memory(worker))
            and markup(render_svg(spec, f"memory of worker {worker.row['number']}")),
        }
        for worker in facts.workers
        if id(worker) in chosen
    ]
    seen = {sample["phase"] for worker in facts.workers for sample in worker.samples}
    return {
        "plots": made,
        "timelines": lines,
        "left_out": len(peaks) - len(lines),
        "phases": [phase for phase in timeline.PHASES if phase in seen],
    }


def outcomes_of(facts: ReportData) -> list[str]:
    """The outcomes that occur, in display order."""
    seen = {name or "waiting" for model in facts.models for name in model.outcomes}
    return [name for name in plots.OUTCOMES if name in seen]


def answers(facts: ReportData, images: bool) -> dict[str, Any]:
    """All images with all answers, and the filter values."""
    count = len({row["id"] for card in facts.cards for row in card.images})
    thumb: Thumb = partial(thumbnail, longest=side(count)) if images else lambda _: None
    names = [model.name for model in facts.models]
    cards = [card_of(card, names, thumb) for card in facts.cards]
    prompts = dict.fromkeys(
        str(q.prompt["name"] or q.prompt["text"]) for card in facts.cards for q in card.questions
    )
    shown = [a for card in cards for q in card["questions"] for a in q["answers"]]
    flags = dict.fromkeys(flag for answer in shown for flag in answer["flags"])
    return {
        "cards": cards,
        "prompts": list(prompts),
        "outcomes": outcomes_of(facts),
        "flags": sorted(flags),
    }


def card_of(card: ImageCard, names: Sequence[str], thumb: Thumb) -> dict[str, Any]:
    """A card's images and answers as the template shows them."""
    shown = card.images[:IMAGES_SHOWN]
    return {
        "images": [
            {"row": row, "thumbnail": thumb(row), "facts": format.image(row)} for row in shown
        ],
        "more": len(card.images) - len(shown),
        "questions": [
            {
                "prompt": question.prompt,
                "accepted": " / ".join(question.accepted[:MOST_ACCEPTED]),
                "answers": [format.answer(a, names[a.model - 1]) for a in question.answers],
            }
            for question in card.questions
        ],
    }
