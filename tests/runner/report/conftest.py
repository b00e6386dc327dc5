"""A real little sweep to report of: the demo model, and scripted workers that fail and lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from runner.cli import cli
from runner.database import sweep_writer
from runner.database.reader import Reader
from runner.database.store import Store
from runner.planning import expand, sweepfile
from runner.process.launcher import ShimHandle, ShimLauncher, WorkerSpec
from runner.report.data import ReportData
from runner.report.load import load_report
from runner.supervisor.supervisor import Supervisor
from runner.system import environment
from tests.helpers.hostile_text import ESCAPES, LIAR, NAMES, SCRIPT
from tests.helpers.scripted_sweep import FakeLauncher, image


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests whose database was made with the demo model, which needs its library."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "database" in item.fixturenames:
            item.add_marker(pytest.mark.model)


class FirstIsReal(ShimLauncher):
    """A real worker for the first model, scripted ones for all after it."""

    def __init__(self) -> None:
        self.fake = FakeLauncher()
        self.began = 0

    def start(self, spec: WorkerSpec) -> ShimHandle:
        self.began += 1
        return super().start(spec) if self.began == 1 else self.fake.start(spec)


def asked() -> dict[str, Any]:
    """The sweep, hostile in every place that takes a text."""
    quick = {"run_s": 0.5}
    return {
        "name": f"tuesday {SCRIPT}",
        "models": [
            "demo",
            {"id": "./liar", "name": LIAR, "limits": quick},
            {
                "id": "./error-in-load",
                "name": "second way",
                "fallback": ["./good"],
                "limits": quick,
            },
        ],
        "images": ["images/"],
        "prompts": [
            {"name": "say it", "text": SCRIPT},
            {"text": ESCAPES},
            {"name": "slowly", "text": "hang midway", "images": "none"},
            {"name": "fall", "text": "segfault", "images": "none"},
        ],
        "exclude": [{"model": "second way", "image": "*onerror*", "reason": "not this one"}],
        "generation": {"max_new_tokens": 8},
    }


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of that sweep, run to its end."""
    folder = tmp_path_factory.mktemp("reported")
    (folder / "images").mkdir()
    for name, colour in zip(NAMES, ("red", "blue", "green"), strict=True):
        Image.new("RGB", (640, 480), colour).save(folder / "images" / name)
    for name in ("liar", "error-in-load", "good"):
        (folder / name).mkdir()
    store = Store(folder / "history.db")
    plan = expand.expand_sweep(sweepfile.validate(asked(), "test"), folder, "test")
    images = [image(path) for path in plan.images]
    number = sweep_writer.add_sweep(store, plan, images, environment.supervisor_environment())
    Supervisor(store, lambda event: None, FirstIsReal()).run_sweep(number)
    store.close()
    return folder / "history.db"


@pytest.fixture
def reader(database: Path) -> Iterator[Reader]:
    with Reader(database) as reader:
        yield reader


@pytest.fixture
def facts(reader: Reader) -> ReportData:
    return load_report(reader, reader.sweep())


@pytest.fixture(scope="session")
def report(database: Path) -> Path:
    """The page, written by the command."""
    out = database.with_name("report.html")
    done = CliRunner().invoke(cli, ["report", "-o", str(out), "--db", str(database)])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{out}: ")
    assert "3 models, 24 answers" in done.output
    return out
