"""Compares the documents with the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import click
import pytest
import yaml

from runner import queries
from runner.cli import cli
from runner.planning import sweepfile
from schemas.sweep import Limits, Model, Prompt, Sweep
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()
SWEEP_FILE = (ROOT / "docs" / "sweep-file.md").read_text()
HISTORY = (ROOT / "docs" / "history.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", SWEEP_FILE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_sweep_file_examples_are_valid(example: str) -> None:
    sweepfile.validate(yaml.safe_load(example), "docs/sweep-file.md")


@pytest.mark.parametrize("part", [Sweep, Model, Prompt, Limits])
def test_every_sweep_file_key_is_documented(part: type) -> None:
    missing = [key for key in part.model_fields if not re.search(rf"\b{key}:", EXAMPLES[1])]
    assert not missing


def test_documented_defaults_match_the_code() -> None:
    shown = yaml.safe_load(EXAMPLES[1])["limits"]
    shown.pop("memory_bytes")
    assert shown == Limits().model_dump(exclude={"memory_bytes"})
    assert yaml.safe_load(EXAMPLES[1])["generation"] == {
        "max_new_tokens": 100,
        "do_sample": False,
    }


def test_readme_commands_options_and_files_exist() -> None:
    for line in re.findall(r"^\$ vlmsweep (.*)$", README, re.MULTILINE):
        words = line.split("#")[0].replace("| jq .", "").split()
        command: click.Command = cli
        while isinstance(command, click.Group) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        assert command is not cli, line
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words if word.startswith("-")} <= known, line
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).exists(), name


def test_readme_documents_every_command() -> None:
    assert {name for name in cli.commands if f"vlmsweep {name}" not in README} <= {"demo"}


def test_readme_yaml_is_a_valid_sweep() -> None:
    for example in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        sweepfile.validate(yaml.safe_load(example), "README.md")


def test_every_named_query_and_its_parameters_are_in_docs_history() -> None:
    by_name = HISTORY.partition("## By words")[0]
    documented = {
        name: dict(re.findall(r"`(\w+)` \(`?([^)`]*)`?\)", parameters))
        for name, parameters in re.findall(r"^\| `([\w-]+)` \| [^|]* \| (.*) \|$", by_name, re.M)
    }
    there = {
        query.name: {p.name: str(p.default) for p in query.parameters}
        for query in queries.list_queries(ROOT / "nowhere")
    }
    assert documented == there


def test_history_doc_examples_run() -> None:
    for line in re.findall(r"^\$ vlmsweep (.*)$", HISTORY, re.MULTILINE):
        words = line.split("#")[0].split(">")[0].split()
        command = cli.commands[words[0]]
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words[1:] if word.startswith("-")} <= known, line


TOP_LEVEL = (
    *("runner", "workers", "schemas", "vlmsweep", "images"),
    *("tests", "scripts", "docs", ".github", ".ci"),
)
NAMED = re.compile(rf"`((?:{chr(124).join(map(re.escape, TOP_LEVEL))})/[\w./-]*)(?:::([\w.]+))?`")
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    if path.name != "CHANGELOG.md"
)


def definitions(node: ast.AST, prefix: str = "") -> Iterator[str]:
    """Yields the dotted names of all classes, functions and constants of a module."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name
            yield from definitions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.Assign):
            yield from (
                prefix + target.id for target in child.targets if isinstance(target, ast.Name)
            )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_and_definition_named_in_a_document_exists(document: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.DOTALL)
    missing = []
    for name, definition in NAMED.findall(text):
        path = ROOT / name
        if not path.exists():
            missing.append(name)
        elif definition and definition not in definitions(ast.parse(path.read_text())):
            missing.append(f"{name}::{definition}")
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_between_documents_has_a_target(document: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert not [link for link in links if not ((ROOT / document).parent / link).exists()]


def test_architecture_doc_answers_common_questions() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text().partition("## ")[0]
    for subject in (
        "timeout becomes a kill",
        "retry is decided",
        "row is written",
        "metric is added",
    ):
        (line,) = [line for line in table.splitlines() if subject in line]
        assert NAMED.search(line.rpartition(subject)[2])
