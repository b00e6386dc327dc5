"""The worked examples of docs/extending.md, applied to a copy of the sources and run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.command_line import SCRIPTED, sweep_file
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.slow

GUIDE = (ROOT / "docs" / "extending.md").read_text()
BLOCK = re.compile(r"^```(\w+) file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOURCES = ("runner", "workers", "schemas", "images", "tests/helpers")
TIMEOUT_S = 120


def blocks(heading: str) -> list[tuple[str, str, str]]:
    """Returns language, file and text of each block of a section."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    return BLOCK.findall(section)


def apply_diff(text: str, diff: str) -> str:
    """Applies hunks that are divided by `@@`. Each one's context must be found exactly once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines()
        old = "\n".join(line[1:] for line in lines if line[:1] != "+")
        new = "\n".join(line[1:] for line in lines if line[:1] != "-")
        if not old:
            text = text + new + "\n"
            continue
        assert text.count(old) == 1, f"not found exactly once: {old!r}"
        text = text.replace(old, new)
    return text


@dataclass
class Tree:
    """A copy of the sources, a working folder, and a database in it."""

    root: Path
    work: Path

    def apply(self, heading: str) -> None:
        """Applies the blocks of a section."""
        for language, file, text in blocks(heading):
            path = self.root / file
            if language == "diff":
                path.write_text(apply_diff(path.read_text(), text))
            else:
                assert not path.exists(), f"{file} exists already"
                path.write_text(text)

    def python(self, *arguments: str, path: tuple[Path, ...] = ()) -> str:
        """Runs Python on the copy; returns its standard output."""
        search = os.pathsep.join(map(str, (*path, self.root)))
        env = {**os.environ, "PYTHONPATH": search, "VLMSWEEP_DB": str(self.work / "history.db")}
        completed = subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=self.work,
            env=env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
        return completed.stdout

    def vlmsweep(self, *arguments: str, path: tuple[Path, ...] = ()) -> str:
        """Runs a command of the copy; workers are scripted processes."""
        return self.python("-c", SCRIPTED, *arguments, path=path)

    def run_sweep(self, *prompts: str, options: tuple[str, ...] = ()) -> str:
        """Runs a sweep of two models with these prompts."""
        for name in ("good", "better"):
            (self.work / name).mkdir(exist_ok=True)
        return self.vlmsweep("run", sweep_file(self.work, list(prompts)), *options)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root, work = tmp_path / "copy", tmp_path / "work"
    # Compiled files are copied too, but not those just being written.
    ignore = shutil.ignore_patterns("*.pyc.*", "demo_model")
    for name in SOURCES:
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    shutil.copy(ROOT / "tests" / "__init__.py", root / "tests" / "__init__.py")
    work.mkdir()
    return Tree(root, work)


def test_model_family_is_found_through_its_entry_point(tree: Tree, tmp_path: Path) -> None:
    files = {file: text for _, file, text in blocks("Add a model family")}
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    facts = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(facts)
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for file, text in files.items():
        (site / file).write_text(text)
    model = tree.work / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": "acme_vl"}))

    listed = json.loads(tree.vlmsweep("models", "--json", path=(site,)))
    assert "acme_vl" in [family["name"] for family in listed]
    probe = "from workers.families import find_family; print(find_family(%r).FAMILY.title)"
    config = {"model_type": "acme_vl"}
    assert tree.python("-c", probe % config, path=(site,)).strip() == "Acme-VL"
    assert "acme_vl" not in tree.vlmsweep("models", "--json")


def make_model(tree: Tree) -> None:
    """Writes the least that a checkpoint needs into the folder `model`."""
    model = tree.work / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": "echo"}))
    tensors = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = len(tensors).to_bytes(8, "little") + tensors + bytes(4)
    (model / "model.safetensors").write_bytes(weights)
    tokenizer = {"model": {"type": "WordLevel", "vocab": {"a": 0}}}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))


def test_engine_loads_a_model_and_answers_in_a_real_worker(tree: Tree) -> None:
    tree.apply("Add an engine")
    make_model(tree)
    entry = {"id": "./model", "engine": "echo"}
    sweep = sweep_file(tree.work, ["two words"], models=[entry])
    tree.python("-m", "runner", "run", sweep)
    (row,) = json.loads(tree.python("-m", "runner", "show", "--runs", "--json"))
    assert (row["outcome"], row["text"]) == ("ok", "two words")
    assert (row["input_tokens"], row["output_tokens"]) == (2, 2)
    assert "echo" in tree.python("-m", "runner", "run", "--help")


def test_named_query_is_one_file(tree: Tree) -> None:
    tree.apply("Add a named query")
    tree.run_sweep("a", "longer")
    rows = json.loads(tree.vlmsweep("history", "longest", "-p", "limit", "2", "--json"))
    assert [row["prompt"] for row in rows] == ["longer", "longer"]
    assert rows[0]["characters"] == len(rows[0]["text"])
    assert "longest" in tree.vlmsweep("history")


def test_command_is_listed_and_runs(tree: Tree) -> None:
    tree.apply("Add a command")
    tree.run_sweep("a", "b")
    assert json.loads(tree.vlmsweep("outcomes", "--json")) == [{"outcome": "ok", "runs": 4}]
    assert "Count the runs of a sweep by outcome." in tree.vlmsweep("--help")


def test_stream_event_reaches_the_json_output_and_the_log(tree: Tree) -> None:
    tree.apply("Add a stream event")
    printed = tree.run_sweep("a", "b", "c", options=("--json",))
    events = [json.loads(line) for line in printed.splitlines()]
    emitted = [event for event in events if event["event"] == "jobs_exhausted"]
    assert [(event["model"], event["runs"]) for event in emitted] == [("good", 3), ("better", 3)]
    assert "good: no jobs left after 3 runs" in tree.run_sweep("a", "b", "c")


def test_metric_is_one_file(tree: Tree) -> None:
    tree.apply("Add a metric")
    (tree.work / "answers.csv").write_text("prompt,answer\na,you know\nb,nothing\n")
    for name in ("good", "better"):
        (tree.work / name).mkdir()
    keys = {"answers": "answers.csv", "scoring": ["first_word"]}
    tree.vlmsweep("run", sweep_file(tree.work, ["a", "b"], **keys))
    rows = json.loads(tree.vlmsweep("show", "--scores", "--json"))
    assert [(row["metric"], row["mean"]) for row in rows] == [("first_word", 0.5)] * 2


def test_load_option_is_stored_and_reaches_the_worker(tree: Tree) -> None:
    tree.apply("Add an engine")
    tree.apply("Add a load option")
    engine = tree.root / "workers" / "engines" / "echo.py"
    answer = 'text = __import__("os").environ["OMP_NUM_THREADS"]'
    engine.write_text(engine.read_text().replace('text = " ".join(words)', answer))
    make_model(tree)
    entry = {"id": "./model", "engine": "echo", "threads": 3}
    tree.python("-m", "runner", "run", sweep_file(tree.work, ["a"], models=[entry]))
    (row,) = json.loads(tree.python("-m", "runner", "show", "--runs", "--json"))
    assert row["text"] == "3"
    sql = "SELECT json_extract(load_spec, '$.threads') AS threads FROM sweep_models"
    assert json.loads(tree.python("-m", "runner", "sql", sql)) == [{"threads": 3}]


def test_every_section_with_files_has_a_test() -> None:
    headings = re.findall(r"^## (.*)$", GUIDE, re.MULTILINE)
    source = Path(__file__).read_text()
    assert [heading for heading in headings if f'"{heading}"' not in source] == []
