"""The report as Markdown, for a repository: the table, failures, machine, settings and answers.

Text from models and files is escaped by `runner.view.markdown_html`, so that it can mark up
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.states import Outcome

from ..text import units
from ..text.sanitize import strip_control_characters
from ..view import table_renderer, tables
from ..view.grid import Column
from ..view.markdown_html import escape_markdown as escaped
from ..view.markdown_html import markdown_table, piped
from . import detail_tables, format
from .data import ReportData
from .summary import asides, compared_models_note, figures, headline, remarks

MOST_ANSWERS = 1000


def render_markdown(facts: ReportData) -> str:
    """The whole file."""
    return "\n".join(markdown_lines(facts)) + "\n"


def markdown_lines(facts: ReportData) -> Iterator[str]:
    """Its lines."""
    yield f"# {escaped(facts.title)}"
    yield ""
    yield escaped(" ".join(filter(None, (headline(facts), asides(facts)))))
    yield ""
    if words := compared_models_note(facts):
        yield from (words, "")
    for figure in figures(facts):
        yield f"- {escaped(figure.title)}: **{escaped(figure.value)}**, {escaped(figure.detail)}"
    yield from heading("Models")
    grid = tables.summary_table([{**m.summary, "notes": remarks(m, facts)} for m in facts.models])
    yield from markdown_table(*table_renderer.visible_cells(grid))
    details = detail_tables.detail_tables(facts)
    yield from heading("Load settings")
    yield from table(details["loaded_titles"], [[c for _, c in row] for row in details["loaded"]])
    if details["failures"]:
        yield from heading("Failures")
        yield from failures(details["failures"])
    yield from heading("Answers")
    yield from answers(facts)
    yield from heading("Machine and settings")
    for sheet in details["sheets"]:
        title = " · ".join(filter(None, (sheet["title"], sheet["words"])))
        yield from (f"**{escaped(title)}**", "")
        yield from table(("", ""), sheet["rows"])
        yield ""


def heading(title: str) -> tuple[str, ...]:
    """A part's title, with room around it."""
    return ("", f"## {title}", "")


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of text, its empty columns left out."""
    kept = [i for i in range(len(titles)) if any(row[i] for row in rows)]
    cells = [[row[i] for i in kept] for row in rows]
    yield from markdown_table([Column("", titles[i]) for i in kept], cells)


def failures(classes: Sequence[dict[str, object]]) -> Iterator[str]:
    """A row per way a model failed; stacks and logs are in the page."""
    rows = []
    for failure in classes:
        row = failure["row"]
        assert isinstance(row, dict)
        name, jobs = str(failure["name"]), str(failure["jobs"])
        outcome = str(row["outcome"]).replace("_", " ")
        rows.append(
            (name, outcome, row["phase"] or "", jobs, row["message"] or "", row["hint"] or "")
        )
    yield from table(("Model", "Outcome", "Phase", "Jobs", "Message", "Hint"), rows)


def answers(facts: ReportData) -> Iterator[str]:
    """A table per image and prompt, or where else to read them when there are very many."""
    if facts.answers > MOST_ANSWERS:
        yield f"{facts.answers} answers are too many for this file: `vlmsweep report` makes a page."
        return
    names = [model.name for model in facts.models]
    for card in facts.cards:
        images = ", ".join(row["name"] for row in card.images) or "without an image"
        for question in card.questions:
            asked = question.prompt["name"] or question.prompt["text"]
            yield from (f"**{escaped(images)}** · {escaped(asked)}", "")
            yield piped(("Model", "Answer", "Time"))
            yield piped((":--", ":--", "--:"))
            for given in question.answers:
                shown = format.answer(given, names[given.model - 1])
                text = " / ".join(escaped(turn["text"]) for turn in shown["turns"])
                notes = [given.outcome.replace("_", " ")] if given.outcome != Outcome.OK else []
                notes += shown["flags"]
                prefix = f"*{', '.join(notes)}* " if notes else ""
                took = "" if shown["latency"] is None else units.seconds(shown["latency"])
                yield piped((escaped(shown["name"]), strip_control_characters(prefix) + text, took))
            yield ""
