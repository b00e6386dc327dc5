"""`vlmsweep help`: pages, topics, help of commands, and the hints that name them."""

from __future__ import annotations

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.commands import help_pages
from runner.errors import VlmsweepError
from runner.view.markdown import render_markdown

ROOT = Path(__file__).resolve().parents[3]
TOPICS = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
SOURCES = [
    path
    for package in ("runner", "workers", "schemas")
    for kind in ("*.py", "*.sql", "*.html", "*.json")
    for path in (ROOT / package).rglob(kind)
]
DOCUMENT = re.compile(r"docs/[\w-]+\.md(?<!docs/tuesday\.md)")  # that one is a user's report


def vlmsweep(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def shown_texts(path: Path) -> str:
    """The strings of a source file that a user can see: without the docstrings of the code."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return "" if path.name == "tables.sql" else source
    tree = ast.parse(source)
    # Docstrings are shown of commands, of tables and of the types in the JSON Schemas.
    documented = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)
    if path.parent != ROOT / "schemas" / "rows" and path.parts[-2:] != ("schemas", "events.py"):
        documented += (ast.ClassDef,)
    if path.parent == ROOT / "runner" / "cli":
        documented = (ast.Module,)
    hidden = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return "\n".join(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden
    )


def test_topics_are_listed_with_their_first_heading() -> None:
    done = vlmsweep("help")
    listed = dict(re.findall(r"^([\w-]+)  +(.*)$", done.output, re.MULTILINE))
    assert sorted(listed) == TOPICS
    assert listed["sweep-file"] == "The sweep file"
    assert listed["compare"] == "Comparing sweeps: vlmsweep diff A B"


@pytest.mark.parametrize("topic", TOPICS)
def test_page_in_a_pipe_is_plain_markdown(topic: str) -> None:
    done = vlmsweep("help", topic)
    assert done.exit_code == 0
    source = (ROOT / "docs" / f"{topic}.md").read_text()
    if "](" not in source:
        assert done.output.startswith(source)
    assert done.output.splitlines()[0] == source.splitlines()[0]
    assert not re.search(r"\]\([\w-]+\.md", done.output), "a link that leads nowhere in a terminal"
    assert "\x1b" not in done.output


def test_link_becomes_the_command_that_shows_its_page() -> None:
    assert "defined in `vlmsweep help results`." in vlmsweep("help", "scoring").output


@pytest.mark.parametrize("name", ["docs/sweep-file.md", "sweep-file.md"])
def test_file_name_is_accepted_for_a_topic(name: str) -> None:
    assert vlmsweep("help", name).output == vlmsweep("help", "sweep-file").output


@pytest.mark.parametrize("topic", sorted({*TOPICS} & {*cli.commands}))
def test_page_with_a_command_name_names_the_help_of_the_command(topic: str) -> None:
    last = vlmsweep("help", topic).output.splitlines()[-1]
    assert last == f"The options of the command: `vlmsweep {topic} --help`"


def commands(group: click.Group, *above: str) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found.append((*above, name))
        if isinstance(command, click.Group):
            found += commands(command, *above, name)
    return found


@pytest.mark.parametrize("words", [w for w in commands(cli) if w[-1] not in TOPICS], ids=" ".join)
def test_help_of_a_command_is_what_its_option_prints(words: tuple[str, ...]) -> None:
    by_option = CliRunner().invoke(cli, [*words, "--help"], prog_name="vlmsweep")
    by_help = CliRunner().invoke(cli, ["help", *words], prog_name="vlmsweep")
    assert by_help.output == by_option.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resluts"], "no topic or command 'resluts' (did you mean results?)"),
        (["rnu"], "no topic or command 'rnu' (did you mean run?)"),
        (["queue", "ad"], "no command of queue 'ad' (did you mean add?)"),
        (["run", "x"], "no command of run 'x'; vlmsweep help lists the topics"),
        (["../README"], "no topic or command '../README'"),
        ([""], "no topic or command ''"),
    ],
)
def test_unknown_topic_is_refused_with_a_suggestion(words: list[str], message: str) -> None:
    done = vlmsweep("help", *words)
    assert done.exit_code == 2
    assert message in done.output


def test_terminal_gets_rendered_text_of_at_most_100_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for page in help_pages.help_pages().values():
        shown = render_markdown(page.markdown(), Terminal())
        assert "\x1b[" in shown
        plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
        assert page.title.split()[0] in plain.split()
        assert "\n# " not in plain.partition("extending")[0]
        assert max(map(len, plain.splitlines())) <= 100


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_page_is_shown_in_a_pager_on_a_terminal(tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path}/paged\n")
    pager.chmod(0o755)
    code = "import pty, sys; sys.exit(pty.spawn([sys.executable, '-m', 'vlmsweep', *sys.argv[1:]]))"
    env = {**os.environ, "PAGER": str(pager), "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "help", "queue"]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT
    ) as child:  # the pipe stays open: its end would be typed as an end of file
        assert child.wait(timeout=300) == 0
    paged = (tmp_path / "paged").read_text()
    assert "One writer" in paged
    assert "## One writer" not in paged


def test_pages_are_found_in_an_installation_and_missing_ones_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed, checkout = tmp_path / "vlmsweep" / "docs", tmp_path / "docs"
    monkeypatch.setattr(help_pages, "INSTALLED", installed)
    monkeypatch.setattr(help_pages, "CHECKOUT", checkout)
    checkout.mkdir()
    (checkout / "theirs.md").write_text("# Of another project\n")
    with pytest.raises(VlmsweepError, match="the documentation is missing"):
        help_pages.help_pages()
    shutil.copytree(ROOT / "docs", installed)
    assert sorted(help_pages.help_pages()) == TOPICS


def test_wheel_holds_the_pages_where_they_are_looked_up(tmp_path: Path) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    assert ROOT / wheel["force-include"]["docs"] == help_pages.INSTALLED
    assert help_pages.docs_folder() == ROOT / "docs"
    builder = pytest.importorskip("hatchling.builders.wheel")
    (made,) = builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(made) as archive:
        names = {Path(n).stem for n in archive.namelist() if n.startswith("vlmsweep/docs/")}
    assert sorted(names) == TOPICS


def test_every_hint_names_a_topic_that_exists() -> None:
    named = set()
    for path in SOURCES:
        text = shown_texts(path)
        assert not DOCUMENT.findall(text), f"{path}: say `vlmsweep help TOPIC`"
        named |= set(re.findall(r"vlmsweep\s+help\s+([\w-]+)", text)) - {"lists"}
    assert named >= {"sweep-file", "scoring", "models", "results", "trust"}
    assert named <= {*TOPICS, *cli.commands, "TOPIC", "COMMAND"}, "neither a topic nor a command"
