"""The command line with scripted workers, in this process or in a separate one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.helpers.paths import ROOT

# Our command with scripted workers in place of real ones.
SCRIPTED = (
    "import runner.supervisor.supervisor; from tests.helpers.scripted_sweep import FakeLauncher;"
    "runner.supervisor.supervisor.ShimLauncher = FakeLauncher; from runner.cli import main; main()"
)


def sweep_file(folder: Path, prompts: list[str], **more: Any) -> str:
    """Writes a sweep file without images; returns its name."""
    texts = [{"text": text, "images": "none"} for text in prompts]
    data = {"models": ["./good", "./better"], "prompts": texts} | more
    (folder / "sweep.yaml").write_text(json.dumps(data))
    return "sweep.yaml"


def env(**more: str) -> dict[str, str]:
    """This test's environment, with our packages in reach."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}
