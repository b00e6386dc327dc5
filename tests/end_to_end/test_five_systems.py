"""The five systems of the guide in one real sweep, in both engines where both exist.

Tiny checkpoints represent them. That texts equal the libraries' own is held by the engines'
tests and `test_end_to_end`; this one says that the whole product runs them side by side.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.model
TOKENS = 24
TRANSFORMERS = ("smolvlm2", "smolvlm", "moondream2", "llava", "llava_next", "phi3_v_remote")
MLX = (
    "smolvlm2_mlx_4bit",
    "smolvlm",
    "moondream2_mlx",
    "llava",
    "llava_next_mlx_4bit",
    "phi3_v_mlx_4bit",
)


def draw(folder: Path) -> None:
    """Six images: square, 4:3, tall, one pixel, with transparency, and turned by EXIF."""
    square = Image.linear_gradient("L").resize((96, 96)).convert("RGB")
    square.save(folder / "square.png")
    wide = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    wide.save(folder / "wide.png")
    square.resize((30, 90)).save(folder / "tall.png")
    Image.new("RGB", (1, 1), (10, 200, 30)).save(folder / "dot.png")
    clear = square.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((96, 96)).rotate(90))
    clear.save(folder / "clear.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    wide.save(folder / "turned.jpg", exif=turned, quality=95)


def test_five_systems_run_in_both_engines(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folders = {name: tiny(name) for name in (*TRANSFORMERS, *MLX)}
    (tmp_path / "images").mkdir()
    draw(tmp_path / "images")
    models: list[dict[str, Any]] = [
        {
            "id": str(folders[name]),
            "name": f"{name} ({engine})",
            "engine": engine,
            "trust_remote_code": engine == "transformers",
        }
        for engine, names in (("transformers", TRANSFORMERS), ("mlx", MLX))
        for name in names
    ]
    sweep = {
        "models": models,
        "images": ["images"],
        "prompts": ["Describe this image."],
        "generation": {"max_new_tokens": TOKENS},
    }
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    caches = {
        "HF_HUB_CACHE": str(folders["moondream2"].parent / "hub"),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "runner", "run", "sweep.json", "--db", "h.db", "--workers", "2"],
        cwd=tmp_path,
        env={**os.environ, **caches},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    database = sqlite3.connect(tmp_path / "h.db")
    rows = database.execute(
        "SELECT model, outcome, engine, image_tokens, output_tokens, finish_reason FROM results"
    ).fetchall()
    database.close()
    assert len(rows) == len(models) * 6
    for model, outcome, engine, image_tokens, output_tokens, finish in rows:
        assert outcome == "ok", model
        assert f"({engine})" in model
        assert image_tokens > 0
        assert output_tokens == TOKENS or finish == "stop"
