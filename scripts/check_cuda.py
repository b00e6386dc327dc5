"""Checks on a machine with an NVIDIA GPU that CUDA gives the texts that the CPU gives.

    python scripts/check_cuda.py [--images images/] [--family smolvlm2 ...] [--json]

Runs a real sweep of the demo model and of tiny random checkpoints, each on the CPU and on the
device, in float32, and compares the texts. Prints per model the number of equal texts, the device
memory, and the ratio of latencies in this run. Exit code 0 if all are equal (or if there is no such
device, which is reported), otherwise 1.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from make_tiny_models import FAMILIES, make

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = ["Describe this image.", "How many shapes are there?", "What is the background colour?"]
HAS_DEVICE = "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)"
COMPARED = """
SELECT here.model, count(*) AS texts, sum(here.raw_text IS there.raw_text) AS equal,
    sum(there.outcome = 'ok') AS ok, max(there.peak_device_bytes) AS peak_device_bytes,
    avg(there.latency_s) / avg(here.latency_s) AS latency_ratio,
    avg(there.generation_tps) / avg(here.generation_tps) AS generation_tps_ratio,
    max(there.message) AS message
FROM results AS here JOIN results AS there
    ON there.model = here.model || ' on the device' AND there.image = here.image
    AND there.prompt = here.prompt
GROUP BY here.model
"""


def sweep(models: dict[str, Path], images: Path, device: str) -> dict[str, Any]:
    """Every model twice: on the CPU, and on the device."""
    both = [
        {"id": str(folder), "name": name + suffix, "device": where, "dtype": "float32"}
        for name, folder in models.items()
        for suffix, where in (("", "cpu"), (" on the device", device))
    ]
    return {
        "models": both,
        "images": [str(images)],
        "prompts": PROMPTS,
        "generation": {"max_new_tokens": 32},
    }


def compare(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs the sweep and holds the two sides against each other, a row per model."""
    models = {family: make(family, folder) for family in options.family}
    models["demo"] = ROOT / "workers" / "demo_model"
    (folder / "sweep.json").write_text(
        json.dumps(sweep(models, options.images.resolve(), options.device))
    )
    command = [sys.executable, "-m", "runner", "run", "sweep.json", "--db", "h.db", "--quiet"]
    subprocess.run(command, cwd=folder, check=False, stdout=sys.stderr)
    database = sqlite3.connect(folder / "h.db")
    database.row_factory = sqlite3.Row
    return [dict(row) for row in database.execute(COMPARED)]


def main() -> int:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, default=ROOT / "images")
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES))
    parser.add_argument("--device", default="cuda", help="device to compare with the CPU")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.family = options.family or ["smolvlm2", "smolvlm", "llava", "llava_next"]
    if options.device.startswith("cuda") and subprocess.call([sys.executable, "-c", HAS_DEVICE]):
        print("There is no CUDA device here (or no torch that sees one): nothing was checked.")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), options)
    for row in rows:
        line = json.dumps(row) if options.json else "  ".join(f"{k}={v}" for k, v in row.items())
        print(line)
    right = all(row["equal"] == row["ok"] == row["texts"] for row in rows)
    return 0 if rows and right else 1


if __name__ == "__main__":
    sys.exit(main())
