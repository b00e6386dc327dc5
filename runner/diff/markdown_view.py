"""A comparison as Markdown for the comment of a pull request.

What models say and files are called is hostile there too: it may hold HTML, Markdown, or names
that would call people. So it is escaped as `runner.view.markdown_html` does, and within code, where
forges look for no mentions.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..text import units
from ..view.markdown_html import escape_markdown, markdown_table
from ..view.table_renderer import visible_cells
from . import score_view, view

if TYPE_CHECKING:
    from .comparison import Comparison
    from .config_changes import ConfigChange
    from .pairing import Change, JobPair


def comparison_markdown(found: Comparison, limit: int) -> str:
    """All of it; of jobs at most `limit` a kind, 0 for all."""
    return "\n".join(comparison_lines(found, limit)) + "\n"


def comparison_lines(found: Comparison, limit: int) -> Iterator[str]:
    """Line by line."""
    yield f"### vlmsweep: {'regression' if found.reasons else 'no regression'}"
    yield ""
    yield from (f"- {escape_markdown(view.reason(one))}" for one in found.reasons)
    yield from ([""] if found.reasons else [])
    for name, side, end in (("A", found.a, "<br>"), ("B", found.b, "")):
        count = units.pluralize(len(side.jobs), "job")
        yield f"{name}: {escape_markdown(side.choice.title)}, {count}{end}"
    yield ""
    yield from markdown_table(*visible_cells(view.comparison_table(found)))
    yield from score_lines(found)
    yield from jobs(found, "new_failure", "New failures", limit)
    yield from jobs(found, "fixed", "Fixed", limit)
    yield from texts(found, limit)
    yield from differences("Settings", found.settings)
    yield from differences("Libraries and machine", found.environment)
    if rest := list(view.not_compared_lines(found)):
        yield from ("", f"Not compared: {'; '.join(rest)}.")


def score_lines(found: Comparison) -> Iterator[str]:
    """The scores' table."""
    if not any(model.scores for model in found.models):
        return
    yield from ("", "**Scores**", "")
    yield from markdown_table(*visible_cells(score_view.score_grid(found.models)))
    yield from (f"\n{escape_markdown(line)}" for line in score_view.note(found.models))


def jobs(found: Comparison, change: Change, title: str, limit: int) -> Iterator[str]:
    """Jobs that failed, or no longer do."""
    pairs = found.pairs_with(change)
    if not pairs:
        return
    yield from ("", f"**{title} ({len(pairs)})**", "")
    for pair in view.limit_pairs(pairs, limit):
        failed = pair.b if change == "new_failure" else pair.a
        assert failed
        yield f"- {code(view.job_label(found, pair))}: {code(view.failure_text(failed))}"
    yield from more(pairs, limit)


def texts(found: Comparison, limit: int) -> Iterator[str]:
    """Changed texts, folded in."""
    pairs = found.pairs_with("text")
    if not pairs:
        return
    yield from ("", f"<details><summary>Changed texts ({len(pairs)})</summary>", "")
    for pair in view.limit_pairs(pairs, limit):
        yield from (code(view.job_label(found, pair)), "", f"<pre>{marked(pair)}</pre>", "")
    yield from more(pairs, limit)
    yield "</details>"


def marked(pair: JobPair) -> str:
    """A pair's text, deletions struck out and insertions underlined."""
    parts = []
    for one in view.changed(pair):
        if one.same:
            parts.append(html.escape(one.old))
        else:
            parts.append(f"<del>{html.escape(one.old)}</del>" if one.old else "")
            parts.append(f"<ins>{html.escape(one.new)}</ins>" if one.new else "")
    return "".join(parts)


def differences(title: str, found: Sequence[ConfigChange]) -> Iterator[str]:
    """A Markdown list of configuration changes."""
    if not found:
        return
    yield from ("", f"**{title}**", "")
    for one in found:
        change = f"{code(view.value(one.what, one.a))} → {code(view.value(one.what, one.b))}"
        yield f"- {escape_markdown(one.what)}: {change} ({', '.join(map(code, one.models))})"


def more(pairs: Sequence[JobPair], limit: int) -> Iterator[str]:
    """A line with the number of pairs that are not shown."""
    if limit and len(pairs) > limit:
        yield f"- and {len(pairs) - limit} more"


def code(text: str) -> str:
    """Text without any syntax, and without anybody called."""
    return f"<code>{escape_markdown(text)}</code>"
