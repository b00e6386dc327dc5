"""What the documents say is held against the code."""

from __future__ import annotations

import re

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
def test_the_examples_of_the_sweep_file_are_sweeps(example: str) -> None:
    sweepfile.validate(yaml.safe_load(example), "docs/sweep-file.md")


@pytest.mark.parametrize("part", [Sweep, Model, Prompt, Limits])
def test_every_key_of_a_sweep_file_is_shown(part: type) -> None:
    missing = [key for key in part.model_fields if not re.search(rf"\b{key}:", EXAMPLES[1])]
    assert not missing


def test_the_defaults_shown_are_the_defaults() -> None:
    shown = yaml.safe_load(EXAMPLES[1])["limits"]
    shown.pop("memory_bytes")
    assert shown == Limits().model_dump(exclude={"memory_bytes"})
    assert yaml.safe_load(EXAMPLES[1])["generation"] == {
        "max_new_tokens": 100,
        "do_sample": False,
    }


def test_the_readme_names_real_commands_options_and_files() -> None:
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


def test_the_readme_documents_every_command() -> None:
    assert {name for name in cli.commands if f"vlmsweep {name}" not in README} <= {"demo"}


def test_the_yaml_in_the_readme_is_a_sweep() -> None:
    for example in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        sweepfile.validate(yaml.safe_load(example), "README.md")


def test_every_named_query_and_its_parameters_are_in_docs_history() -> None:
    by_name = HISTORY.partition("## By words")[0]
    told = {
        name: dict(re.findall(r"`(\w+)` \(`?([^)`]*)`?\)", parameters))
        for name, parameters in re.findall(r"^\| `([\w-]+)` \| [^|]* \| (.*) \|$", by_name, re.M)
    }
    there = {
        query.name: {p.name: str(p.default) for p in query.parameters}
        for query in queries.list_queries(ROOT / "nowhere")
    }
    assert told == there


def test_the_examples_of_docs_history_are_real() -> None:
    for line in re.findall(r"^\$ vlmsweep (.*)$", HISTORY, re.MULTILINE):
        words = line.split("#")[0].split(">")[0].split()
        command = cli.commands[words[0]]
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words[1:] if word.startswith("-")} <= known, line
