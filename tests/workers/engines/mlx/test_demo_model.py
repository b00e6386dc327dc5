"""The demo model answers alike through both engines, on every sample image."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runner.image_prep.prepare import prepare_images
from schemas.commands import Load, Run, Stop, Turn
from schemas.generation import Generation
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.model
DEMO = ROOT / "workers/demo_model"


def questions(folder: Path) -> list[tuple[str, str]]:
    """Prepared entry and prompt, for every entry and question of the manifest."""
    images = json.loads((ROOT / "images/manifest.json").read_bytes())["images"]
    paths = [ROOT / "images" / image["file"] for image in images]
    asked = []
    prepared = prepare_images(paths, max_side=1024, folder=folder)
    for image, entry in zip(images, prepared, strict=True):
        assert entry.prepared_path, entry.message
        asked += [(str(entry.prepared_path), prompt) for prompt in image["answers"]]
    return asked


def test_demo_model_gives_equal_answers_in_both_engines(
    tmp_path: Path, talk: Callable[..., Any]
) -> None:
    asked = questions(tmp_path / "prepared")
    generation = Generation(max_new_tokens=40)
    runs = [
        Run(run=number, turns=(Turn(text=prompt, images=(path,)),), generation=generation)
        for number, (path, prompt) in enumerate(asked, start=1)
    ]

    def ask(engine: Any) -> Any:
        return talk([Load(model=str(DEMO), local=True, engine=engine, device="cpu"), *runs, Stop()])

    answers = {}
    engines = ("transformers", "mlx")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(ask, engines))
    for engine, output in zip(engines, both, strict=True):
        assert output.code == 0, output.log
        assert output.named("loaded")[0]["engine"] == engine
        found = output.named("run_finished")
        assert len(found) == len(asked), output.named("error")
        answers[engine] = [
            (e["raw_text"], e["input_tokens"], e["image_tokens"], e["output_tokens"]) for e in found
        ]
    assert answers["mlx"] == answers["transformers"]
    assert len(set(answers["mlx"])) >= len(asked) // 3  # it looks: most answers differ
