"""The page and the Markdown as text: nothing that a model says or a file is called marks it up."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from runner.cli import cli
from runner.report import plots, svg, write
from runner.report.data import ReportData
from runner.report.markdown import render_markdown
from runner.report.page import page
from runner.report.thumbnails import thumbnail
from runner.text.sanitize import UNSAFE, one_line, strip_control_characters
from tests.helpers.hostile_text import ESCAPES, LIAR, NAMES, SCRIPT

# Elements that the templates write; no others are allowed.
RESOURCE_OPTIONS = """html head meta title style script body header p h1 b dl div dt dd span nav a
i main section h2 table thead tr th button tbody td figure figcaption svg g path line text ul li h3
    form input details summary label select option output article img dialog h4 pre footer small"""


class Page(HTMLParser):
    """Gathers elements, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Page:
    seen = Page()
    seen.feed(text)
    seen.close()
    return seen


@pytest.fixture(scope="module")
def written(report: Path) -> str:
    return report.read_text(encoding="utf-8")


def test_page_contains_only_known_elements_and_attributes(written: str) -> None:
    seen = read(written)
    assert seen.tags <= set(RESOURCE_OPTIONS.split())
    names = {name for _, name, _ in seen.attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"style", "srcdoc"})
    assert {value[:5] for _, name, value in seen.attributes if name == "src"} == {"data:"}
    links = {value[:1] for _, name, value in seen.attributes if name in ("href", "xlink:href")}
    assert links == {"#"}
    assert written.count("<script") == written.count("</script") == 1
    assert written.count("<style") == written.count("</style") == 1


def test_answers_are_escaped_in_the_page(written: str) -> None:
    text = "".join(read(written).text)
    for hostile in (
        f"you said {SCRIPT}",
        strip_control_characters(f"you said {ESCAPES}"),
        LIAR,
        *NAMES,
    ):
        assert hostile in text
    assert not UNSAFE.search(written)
    assert "49.png" not in text  # no template runs what a file is called


def test_content_policy_allows_only_the_own_style_and_script(written: str) -> None:
    (policy,) = (
        value
        for tag, name, value in read(written).attributes
        if tag == "meta" and name == "content" and "default-src" in value
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", written, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_missing_images_are_no_error(facts: ReportData, tmp_path: Path) -> None:
    (image,) = (p for card in facts.cards for p in card.images if "circle" in p["name"])
    assert thumbnail(image, 200) is not None
    text = tmp_path / "text.png"
    text.write_text("no image at all")
    for path in (None, str(tmp_path / "gone.png"), str(text), str(tmp_path), "nul\0"):
        assert thumbnail({**image, "prepared_path": path}, 200) is None
    small = thumbnail(image, 100)
    assert small is not None
    assert (small.width, small.height) == (100, 75)


def test_page_without_images_contains_none(facts: ReportData, written: str) -> None:
    assert "data:image" in written
    assert "data:image" not in page(facts, images=False)


def test_plot_contains_only_listed_elements() -> None:
    # An escape, or what else XML cannot hold, ends vl-convert's process where it is let through.
    nasty = '<b onload="x">" \u202e\x1b[0m \x00 \uffff \ud800 \U0001f469\u200d\U0001f680'
    values = [{"a": nasty, "b": 1}]
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar", "tooltip": True, "cursor": "pointer"},
        "encoding": {
            "y": {"field": "a", "type": "nominal"},
            "x": {"field": "b", "type": "quantitative"},
            "description": {"field": "a"},
        },
    }
    drawn = svg.render_svg(spec, f"title {nasty}")
    root = ElementTree.fromstring(drawn)
    elements = list(root.iter())
    assert {element.tag for element in elements} <= svg.ELEMENTS | {"title"}
    allowed = svg.ATTRIBUTES | {"role", "aria-label"}
    assert {name for element in elements for name in element.attrib} <= allowed
    assert any(strip_control_characters(nasty)[:12] in (element.text or "") for element in elements)
    assert not UNSAFE.search(drawn)


def test_model_that_never_loaded_has_a_row_in_every_plot(facts: ReportData) -> None:
    for spec in (plots.load(facts.models), plots.latency(facts.models)):
        assert spec is not None
        drawn = svg.render_svg(spec, "x")
        assert drawn.count("demo") >= 1
        assert "3 second way" in drawn


def test_markdown_escapes_text(facts: ReportData) -> None:
    html = MarkdownIt("commonmark").enable("table").render(render_markdown(facts))
    seen = read(html)
    wanted = "h1 h2 p ul li strong em table thead tbody tr th td code"
    assert seen.tags <= set(wanted.split())
    text = "".join(seen.text)
    for hostile in (SCRIPT, f"you said {SCRIPT}", one_line(f"you said {ESCAPES}"), LIAR, *NAMES):
        assert hostile in text
    assert not UNSAFE.search(render_markdown(facts))


def test_format_follows_the_file_name(database: Path, tmp_path: Path) -> None:
    result = write.write_report(database, None, tmp_path / "out.md", None, True)
    assert result.endswith("3 models, 24 answers")
    assert (tmp_path / "out.md").read_text().startswith("# tuesday ")
    with pytest.raises(Exception, match="cannot write"):
        write.write_report(database, None, tmp_path / "no folder" / "out.md", None, True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.md"]


def test_markdown_goes_to_standard_output(database: Path) -> None:
    arguments = ["report", "--format", "md", "-o", "-", "--db", str(database)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0
    assert done.stdout.startswith("# tuesday ")
    assert done.stderr.endswith("24 answers\n")


@pytest.mark.parametrize("missing", ["jinja2", "vl_convert"])
def test_missing_extra_is_reported(
    missing: str, database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    out = str(tmp_path / "report.html")
    done = CliRunner().invoke(cli, ["report", "-o", out, "--db", str(database)])
    assert done.exit_code == 2
    assert "vlmsweep[report]" in done.output
    assert not list(tmp_path.iterdir())
    without: Any = CliRunner().invoke(cli, ["report", "-o", f"{out}.md", "--db", str(database)])
    assert without.exit_code == 0
