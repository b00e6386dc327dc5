"""Five more families by the engines' ordinary way, held to direct calls of the libraries.

Each engine's cases run in one process, and the library itself runs in another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import ROOT

pytestmark = pytest.mark.model

HERE = ROOT / "tests/helpers"
TOKENS = 24
TEXT = "Describe this image."
FAMILIES = {
    "smolvlm_256m": "smolvlm",
    "qwen2_5_vl": "qwen2_5_vl",
    "gemma3": "gemma3",
    "internvl3": "internvl",
    "paligemma": "paligemma",
}
NOT_IN_MLX = {"internvl3"}  # mlx-vlm's internvl is on qwen3, as 3.5 is
BOTH = [
    (engine, name)
    for engine in ("transformers", "mlx")
    for name in FAMILIES
    if engine == "transformers" or name not in NOT_IN_MLX
]


def call(script: str, request: Any, *arguments: str) -> Any:
    """Returns the last line of a helper's output, parsed as JSON."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def ask(folder: Path, engine: str, images: list[str]) -> dict[str, Any]:
    # mlx-vlm's plain steps know no penalty, which Qwen's own settings ask for.
    more = {"repetition_penalty": 1.0} if engine == "mlx" else {}
    square, wide = images[:2]
    runs = [{"text": TEXT, "images": [path]} for path in images]
    runs += [{"text": TEXT}, {"text": TEXT, "images": [square, wide]}]
    return {
        "load": {"model": str(folder), "engine": engine, "device": "cpu"},
        "runs": [{"max_new_tokens": TOKENS, **run, **more} for run in runs],
    }


@pytest.fixture(scope="module")
def both(tiny: Callable[[str], Path], images: dict[str, str]) -> dict[str, Any]:
    """Results of the engine and of the library, by engine and family."""
    paths = list(images.values())
    found: dict[str, Any] = {}
    for engine in ("transformers", "mlx"):
        ours = {name: ask(tiny(name), engine, paths) for name in FAMILIES}
        theirs = {name: str(tiny(name)) for each, name in BOTH if each == engine}
        request = {"folders": theirs, "images": paths, "tokens": TOKENS}
        with ThreadPoolExecutor() as pool:
            output = pool.submit(call, "serve_cases.py", ours)
            expected = pool.submit(call, "family_reference.py", request, engine)
            found[engine] = (output.result(), expected.result())
    return found


def finished(events: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {event["run"]: event for event in events if event.get("run")}


@pytest.mark.parametrize(("engine", "name"), BOTH)
def test_answers_equal_the_library(engine: str, name: str, both: dict[str, Any]) -> None:
    ours, theirs = both[engine]
    loaded = ours[name][0]
    assert loaded["event"] == "loaded", loaded
    assert (loaded["engine"], loaded["family"]) == (engine, FAMILIES[name])
    runs = finished(ours[name])
    for number, expected in enumerate(theirs[name], start=1):
        run = runs[number]
        assert run["event"] == "run_finished", run
        assert {key: run[key if key != "raw" else "raw_text"] for key in expected} == expected
        assert run["image_tokens"] > 0
        assert run["output_tokens"] >= 20
    assert len({expected["raw"] for expected in theirs[name]}) > 1  # it looks


@pytest.mark.parametrize(("engine", "name"), BOTH)
def test_several_images_and_no_image_are_answered(
    engine: str, name: str, both: dict[str, Any]
) -> None:
    runs = finished(both[engine][0][name])
    text, two = runs[len(runs) - 1], runs[len(runs)]  # these ran last
    if (engine, name) == ("transformers", "paligemma"):
        assert (text["error_class"], bool(text["hint"])) == ("unsupported", True)
    else:
        assert text["image_tokens"] == 0, text
    if two["event"] == "run_finished":
        assert two["image_tokens"] == sum(runs[n]["image_tokens"] for n in (1, 2))
    else:
        assert (two["error_class"], bool(two["hint"])) == ("unsupported", True), two


def test_missing_video_processor_is_reported(both: dict[str, Any]) -> None:
    found = both["transformers"][0]
    noted = {name for name in FAMILIES if any("video" in n for n in found[name][0]["notes"])}
    # InternVL also has it in a separate process; here Qwen, loaded first, set it.
    assert noted == {"qwen2_5_vl"}


def test_model_unsupported_by_mlx_is_refused(both: dict[str, Any]) -> None:
    (failure,) = both["mlx"][0]["internvl3"]
    assert failure["error_class"] == "bad_config", failure
    assert "transformers" in failure["hint"]
