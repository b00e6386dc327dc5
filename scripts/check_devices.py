"""Checks, on a machine with at least two NVIDIA GPUs, that two workers get different devices.

    python scripts/check_devices.py [--json]

Runs two models of the queue in parallel and in sequence. Every run must be ok, the parallel workers
must overlap in time and use different devices, and the texts must be equal. Exit code 0 if this
holds (or if there are fewer than two devices, which is reported), otherwise 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from runner import api
from runner.database.reader import Reader
from runner.planning import expand, sweepfile
from runner.supervisor import resources
from runner.system import host

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = ["What colour is the shape?", "How many shapes are there?"]
TERMS = {"label": None, "priority": 0, "not_before": None, "after_sweep_id": None}
WORKERS = """
SELECT sweep_models.name, visible_devices, workers.device, started_at, workers.ended_at,
    peak_device_bytes FROM workers JOIN sweep_models ON sweep_models.id = sweep_model_id
WHERE workers.sweep_id = ?
"""


def run_sweep(folder: Path, name: str, workers: int) -> tuple[list[dict[str, Any]], dict[Any, Any]]:
    """Both models on the devices: the rows of the workers, and the texts by model and job."""
    models = [
        {"id": str(folder / model), "name": model, "device": "cuda", "dtype": "float32"}
        for model in ("left", "right")
    ]
    sweep = {"name": name, "models": models, "images": [str(ROOT / "images")], "prompts": PROMPTS}
    plan = expand.expand_sweep(sweepfile.validate(sweep, "check"), folder, "check")
    database = folder / "devices.db"
    added = api.enqueue(plan, database, lambda event: None, TERMS)
    wanted = resources.limits_for_machine(workers, 10**12 if workers > 1 else None)
    api.work_queue(database, lambda event: None, wanted)
    with Reader(database) as reader:
        rows = reader.results(added["sweep"])
        texts = {(row["model"], row["image"], row["prompt"]): row["raw_text"] for row in rows}
        wrong = [row["message"] for row in rows if row["outcome"] != "ok"]
        if wrong:
            raise SystemExit(f"not ok: {wrong[0]}")
        return reader.records(WORKERS, added["sweep"]), texts


def evaluate(workers: list[dict[str, Any]], together: Any, apart: Any) -> dict[str, Any]:
    """Compares both sweeps."""
    one, other = workers
    return {
        "workers": workers,
        "at_once": max(one["started_at"], other["started_at"])
        < min(one["ended_at"], other["ended_at"]),
        "own_devices": None not in (one["visible_devices"], other["visible_devices"])
        and one["visible_devices"] != other["visible_devices"],
        "texts": len(together),
        "equal": sum(together[key] == apart[key] for key in together),
    }


def main() -> int:
    """Runs the check and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = host.cuda_devices()
    if len(found) < 2:
        print(f"two NVIDIA devices are needed, and there are {len(found)}: nothing was checked")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in ("left", "right"):
            shutil.copytree(ROOT / "workers" / "demo_model", folder / model)
        # A first sweep: a model without history runs without others.
        _, apart = run_sweep(folder, "apart", 1)
        workers, together = run_sweep(folder, "together", 2)
    result = evaluate(workers, together, apart)
    print(json.dumps(result, indent=1) if options.json else result)
    well = result["at_once"] and result["own_devices"] and result["equal"] == result["texts"]
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
