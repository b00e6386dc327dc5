"""Fetching ahead, from a hub of our own on this machine."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.environments.cache import VARIABLE as ENVIRONMENTS_VARIABLE
from runner.planning import expand
from tests.helpers.fake_hub import COMMIT, FakeHub, hub

pytest.importorskip("huggingface_hub")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with a real checkpoint under several names, and a cache of its own."""
    folder = expand.demo_model()
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    files["pytorch_model.bin"] = b"x" * 10_000
    names = ("org/good", "gated/one", "slow/one", "org/broken")
    repositories = {name: dict(files) for name in names}
    repositories["org/broken"]["model.safetensors"] = b"x" * 100
    with hub(repositories) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv(ENVIRONMENTS_VARIABLE, str(tmp_path / "environments"))
        yield server


@pytest.fixture
def vlmsweep(tmp_path: Path) -> Callable[..., Result]:
    def call(command: str, models: list[Any], *more: str) -> Result:
        file = tmp_path / "sweep.json"
        file.write_text(
            json.dumps({"models": models, "prompts": [{"text": "x", "images": "none"}]})
        )
        return CliRunner().invoke(cli, [command, str(file), *more])

    return call


def fetched(result: Result) -> dict[str, dict[str, Any]]:
    events = [json.loads(line) for line in result.output.splitlines()]
    return {one["model"]: one for one in events if one["event"] == "model_fetched"}


@pytest.mark.slow
def test_fetch_gets_existing_models_and_reports_missing_ones(
    served: FakeHub, vlmsweep: Callable[..., Result], tmp_path: Path
) -> None:
    result = vlmsweep(
        "fetch", ["org/good", "gated/one", "org/none", "org/broken", "demo"], "--json"
    )
    done = fetched(result)
    classes = {name: one["error_class"] for name, one in done.items()}
    assert classes == {
        "org/good": None,
        "gated/one": "gated",
        "org/none": "not_found",
        "org/broken": "corrupt_weights",
    }
    assert result.exit_code == 1
    assert done["org/good"]["commit"] == COMMIT
    assert done["org/good"]["download_s"] > 0
    assert done["org/none"]["message"] == "org/none is not on the hub, or it is private"
    cache = tmp_path / "cache"
    assert (cache / "models--org--good" / "snapshots" / COMMIT / "model.safetensors").is_file()
    assert not list(cache.rglob("*.bin")), "pickles were not allowed"
    # Once more: nothing is fetched again, and all is well.
    served.asked.clear()
    again = vlmsweep("fetch", ["org/good"])
    assert again.exit_code == 0
    assert "there" in again.output
    assert not [path for path in served.asked if "/resolve/" in path]


@pytest.mark.slow
def test_hanging_download_is_killed(served: FakeHub, vlmsweep: Callable[..., Result]) -> None:
    slow = {"id": "slow/one", "limits": {"download_s": 1}}
    result = vlmsweep("fetch", [slow, "org/good"], "--json")
    done = fetched(result)
    assert "not fetched within 1 s" in done["slow/one"]["message"]
    assert done["org/good"]["message"] is None, "the next one is fetched all the same"
    assert result.exit_code == 1
    assert not [
        child for child in psutil.Process().children(recursive=True) if "workers" in child.cmdline()
    ]


def test_fetch_plan_queries_the_hub_and_downloads_nothing(
    served: FakeHub, vlmsweep: Callable[..., Result], tmp_path: Path
) -> None:
    database = ("--db", str(tmp_path / "history.db"))
    plan = vlmsweep("plan", ["org/good", "gated/one", "org/none"], "--json", *database)
    found = {one["subject"]: one for one in json.loads(plan.output)["findings"]}
    assert (found["gated/one"]["severity"], found["gated/one"]["kind"]) == ("problem", "gated")
    assert found["org/none"]["kind"] == "not_found"
    assert "MB, into" in found["org/good"]["message"]
    assert not [path for path in served.asked if "/resolve/" in path]


def test_unreachable_hub_is_tried_once(
    vlmsweep: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    plan = vlmsweep("plan", ["a/a", "a/b"], "--json", "--db", str(tmp_path / "history.db"))
    found = {one["subject"]: one for one in json.loads(plan.output)["findings"]}
    assert found["a/a"]["message"].startswith("could not reach the hub for a/a")
    assert "of unknown size" in found["a/b"]["message"]


def test_full_disk_is_refused_before_any_download(
    served: FakeHub, vlmsweep: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.preflight import models

    monkeypatch.setattr(models, "free_bytes", lambda _: 1000)
    result = vlmsweep("fetch", ["org/good"])
    assert result.exit_code == 2
    assert "9.8 MB are to be downloaded, and 1.0 kB are free" in result.output
    assert not [path for path in served.asked if "/resolve/" in path]


def test_offline_fetch_is_reported(
    served: FakeHub, vlmsweep: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = vlmsweep("fetch", ["org/good"], "--json")
    assert fetched(result)["org/good"]["error_class"] == "not_in_cache"
    assert not served.asked


def test_fetch_creates_the_environment(
    vlmsweep: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENTS_VARIABLE, str(tmp_path / "environments"))
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "uv").write_text("#!/bin/sh\necho 'error: no such thing'\nexit 1\n")
    (tools / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VLMSWEEP_INSTALLER", "uv")
    result = vlmsweep("fetch", [{"id": "demo", "requirements": ["x"]}])
    assert result.exit_code == 1
    assert "no such thing" in result.output
