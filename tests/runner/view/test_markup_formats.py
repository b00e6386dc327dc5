"""HTML and Markdown tables: any text is escaped."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from runner.text.sanitize import one_line
from runner.view.formats import write_grid
from runner.view.grid import Column, grid
from runner.view.markdown_html import escape_markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "a | b || `c` **d** _e_ ~~f~~ [g](javascript:alert(1)) ![h](http://x/i.png)",
    "&lt;b&gt; &#60;script&#62; &amp;amp;",
    "\\| \\` \\\\ back\\",
    "see https://evil.example/x and www.evil.example, me@evil.example, @everyone, #1",
    "<https://evil.example> <!-- x --> $a^2$",
    "# no heading",
    "- no list",
    "1. no list",
    "--- ",
    "red\x1b[31m \u202egnp.exe\u2066 two\nlines\r\x07",
]
GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
COLUMNS = [Column("text", "Te|xt"), Column("load_s", "Load", "seconds")]


class Page(HTMLParser):
    """Gathers a page's elements, with their attributes, and the text of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, tuple[Any, ...]]] = set()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add((tag, tuple(name for name, _ in attrs)))
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    page.cells = [cell.strip() for cell in page.cells]
    return page


def written(rows: list[dict[str, Any]], format: Any) -> str:
    out = io.StringIO()
    write_grid(grid(rows, COLUMNS), format, out)
    return out.getvalue()


def test_hostile_text_stays_text_in_a_markdown_table() -> None:
    rows = [{"text": text, "load_s": 1.234} for text in HOSTILE]
    shown = read(GITHUB.render(written(rows, "md")))
    assert {tag for tag, _ in shown.seen} == {"table", "thead", "tbody", "tr", "th", "td"}
    assert shown.cells == [cell for text in HOSTILE for cell in (one_line(text), "1.23 s")]


def test_hostile_text_stays_text_in_an_html_table() -> None:
    rows = [{"text": text, "load_s": None} for text in HOSTILE]
    shown = read(written(rows, "html"))
    assert {tag for tag, _ in shown.seen} == {"table", "thead", "tbody", "tr", "th", "td"}
    assert {name for _, names in shown.seen for name in names} == {"align"}
    assert shown.cells[::2] == [one_line(text) for text in HOSTILE]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_in_a_paragraph(text: str) -> None:
    html = GITHUB.render(escape_markdown(text))
    assert {tag for tag, _ in read(html).seen} == {"p"}
    assert read(html.replace("<p>", "<td>")).cells == [one_line(text)]


def test_plain_urls_do_not_become_links() -> None:
    assert escape_markdown("at https://x.example, WWW.x.example") == (
        r"at https\://x.example, WWW\.x.example"
    )


def test_plain_text_is_unchanged() -> None:
    text = "5.51 s, 83.3% (a-b), SmolVLM2-500M: it's fine"
    assert escape_markdown(text) == text
