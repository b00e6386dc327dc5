"""A whole sweep as a user runs it, against what the model library itself says."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import ROOT

DEMO = ROOT / "workers" / "demo_model"
PROMPTS = ["Describe this image.", "How many shapes are there?", "What is the background colour?"]
TOKENS = 24

pytestmark = pytest.mark.model


def direct(folder: Path, images: list[str]) -> dict[tuple[str, str], tuple[str, int, int, int]]:
    """(image, prompt) -> raw text and counts, by a plain transformers call.

    The processor is made of its parts, since SmolVLM2's own wants torchvision; all three models
    share the prompt's form.
    """
    import torch
    from PIL import Image
    from transformers import (
        AutoImageProcessor,
        AutoModelForImageTextToText,
        AutoTokenizer,
        Idefics3Processor,
    )

    config = json.loads((folder / "processor_config.json").read_text())
    template = folder / "chat_template.jinja"
    chat = template.read_text() if template.exists() else None
    if chat is None:
        chat = json.loads((folder / "chat_template.json").read_text())["chat_template"]
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = Idefics3Processor(
        AutoImageProcessor.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        image_seq_len=config["image_seq_len"],
        chat_template=chat,
    )
    found = {}
    for path in images:
        for prompt in PROMPTS:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            text = processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
            inputs = processor(text=text, images=[Image.open(path)], return_tensors="pt")
            size = inputs["input_ids"].shape[1]
            ids = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)[0, size:]
            image_tokens = int((inputs["input_ids"] == model.config.image_token_id).sum())
            raw = processor.tokenizer.decode(ids, skip_special_tokens=False)
            found[path, prompt] = (raw, size, image_tokens, len(ids))
    return found


def test_every_job_has_a_row_with_the_text_of_its_model(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    models = {"demo": DEMO, "smolvlm2": tiny("smolvlm2"), "smolvlm": tiny("smolvlm")}
    sweep: dict[str, Any] = {
        "models": [
            {"id": str(path), "name": name, "device": "cpu"} for name, path in models.items()
        ],
        "images": [str(ROOT / "images")],
        "prompts": PROMPTS,
        "generation": {"max_new_tokens": TOKENS},
    }
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "runner",
            "run",
            "sweep.json",
            "--db",
            "h.db",
            "--json",
            "--workers",
            "2",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "sweep_finished"

    database = sqlite3.connect(tmp_path / "h.db")
    images = [row[0] for row in database.execute("SELECT prepared_path FROM images")]
    rows = database.execute(
        "SELECT model, images.prepared_path, prompt, outcome, raw_text, input_tokens,"
        " image_tokens, output_tokens FROM results JOIN job_images USING (job_id)"
        " JOIN images ON images.id = image_id"
    ).fetchall()
    database.close()
    assert len(images) >= 5
    assert len(rows) == len(models) * len(images) * len(PROMPTS)
    assert {row[3] for row in rows} == {"ok"}
    for name, folder in models.items():
        expected = direct(folder, images)
        got = {(row[1], row[2]): tuple(row[4:]) for row in rows if row[0] == name}
        assert got == expected


def test_supervisor_never_imports_a_model_library(tmp_path: Path) -> None:
    """Asks the interpreter itself, over a whole sweep with a model that cannot be loaded."""
    (tmp_path / "model").mkdir()
    command = ["-X", "importtime", "-m", "runner", "run", "-m", "./model", "-i"]
    done = subprocess.run(
        [sys.executable, *command, str(ROOT / "images"), "--db", "h.db", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "runner.supervisor.supervisor" in imported
    tops = {name.partition(".")[0] for name in imported}
    assert not tops & {"torch", "transformers", "mlx", "mlx_vlm", "huggingface_hub", "workers"}
