"""The real `mlx_vlm.server` with the demo model: the answers are those of the other engines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from runner.image_prep.prepare import prepare_images
from runner.scoring.normalize import normalize
from schemas.commands import Load, Run, Stop, Turn
from schemas.generation import Generation
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S

pytestmark = pytest.mark.model
DEMO = ROOT / "workers/demo_model"
FILES = ("circle.png", "sideways.jpg", "large.jpg")
KEY = "only-for-this-test"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own session, which is killed whole."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlx_vlm.server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--model", str(DEMO), "--api-key", KEY]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "cache")}
    (folder / "cache").mkdir()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            env=env, cwd=ROOT,
        )  # fmt: skip
    try:
        wait_until_ready(server, f"http://127.0.0.1:{port}/health", folder / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    """Polls until the server says it is well. Fails when it ends, or after WAIT_S."""
    request = urllib.request.Request(health, headers={"Authorization": f"Bearer {KEY}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline, pause = time.monotonic() + WAIT_S, Event()
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), direct.open(request, timeout=60):
            return
        pause.wait(0.2)
    pytest.fail(f"the server did not come up: {log.read_text(errors='replace')[-2000:]}")


def questions(folder: Path) -> list[tuple[str, str, list[str]]]:
    """Prepared image, prompt and the answers that are right."""
    listed = json.loads((ROOT / "images/manifest.json").read_bytes())["images"]
    images = [image for image in listed if image["file"] in FILES]
    prepared = prepare_images(
        [ROOT / "images" / i["file"] for i in images], max_side=1024, folder=folder
    )
    return [
        (str(entry.prepared_path), prompt, right)
        for image, entry in zip(images, prepared, strict=True)
        for prompt, right in image["answers"].items()
    ]


def test_mlx_server_answers_match_the_manifest(
    tmp_path: Path, talk: Callable[..., Any], url: str
) -> None:
    asked = questions(tmp_path / "prepared")
    load = Load(
        model=str(DEMO), local=False, engine="openai", url=url, api_key_env="THEIR_SERVER_S"
    )
    generation = Generation(max_new_tokens=40)
    runs = [
        Run(run=i, turns=(Turn(text=prompt, images=(path,)),), generation=generation)
        for i, (path, prompt, _) in enumerate(asked)
    ]
    output = talk([load, *runs, Stop()], env={"THEIR_SERVER_S": KEY})
    assert output.code == 0, output.events
    (loaded,) = output.named("loaded")
    assert loaded["versions"]["server"].startswith("mlx_vlm/")
    found = output.named("run_finished")
    assert len(found) == len(asked) == 15
    for event, (_, prompt, right) in zip(found, asked, strict=True):
        assert normalize(event["text"]) in map(normalize, right), prompt
        assert 0 < event["image_tokens"] < event["input_tokens"]
        assert event["output_tokens"] > 1
        assert event["finish_reason"] == "stop"
        assert event["notes"] == []
    assert KEY not in repr(output.events)


def test_mlx_server_needs_its_key_and_lists_its_models(talk: Callable[..., Any], url: str) -> None:
    load = Load(model=str(DEMO), local=False, engine="openai", url=url)
    assert talk([load]).named("error")[0]["error_class"] == "gated"
    other = Load(
        model="org/other", local=False, engine="openai", url=url, api_key_env="THEIR_SERVER_S"
    )
    error = talk([other], env={"THEIR_SERVER_S": KEY}).named("error")[0]
    assert error["error_class"] == "not_found"
    assert "demo_model" in error["hint"]
