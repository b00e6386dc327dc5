"""Asks the workers' side what families of models it knows, in a process of its own.

The runner never imports workers: their environment may differ and their libraries are heavy.
What is in the hub's cache is looked up here, by `schemas.shared.hub_cache`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from schemas.shared import hub_cache

from ..errors import SweepFileError, VlmsweepError
from ..paths import expand_home
from . import expand

LIMIT_S = 60.0


class FamiliesError(VlmsweepError):
    """The workers' side could not be asked; the installation is at fault."""

    exit_code = 70


def list_families() -> list[dict[str, Any]]:
    """The families, each with `cached`: which of its example ids are on this machine."""
    families: list[dict[str, Any]] = run_describe()["families"]
    for family in families:
        found = {name: hub_cache.find(name) for name in family["example_ids"]}
        family["cached"] = [name for name, model in found.items() if model and model.complete]
    return families


def aliases() -> dict[str, str]:
    """Short names of families, and the model each stands for."""
    return {
        alias: family["example_ids"][0]
        for family in run_describe()["families"]
        if family["example_ids"]
        for alias in family["aliases"]
    }


def check(model: str) -> dict[str, Any]:
    """Whether a model can run here now, and what is missing. An alias stands for its model.

    Raises SweepFileError for what can be neither a folder nor on the hub.
    """
    if model == expand.DEMO:
        return run_describe("--check", str(expand.demo_model()))
    meant = aliases().get(model, model)
    if not expand_home(Path(meant)).is_dir() and expand.is_local_name(meant):
        raise SweepFileError(f"{model!r} is neither a folder nor a hub id (org/name)")
    return run_describe("--check", meant)


def run_describe(*arguments: str) -> dict[str, Any]:
    """What `python -m workers.describe` says."""
    # -P: a stray json.py in the user's folder must not be imported.
    command = [sys.executable, "-P", "-m", "workers.describe", *arguments]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        said: dict[str, Any] = json.loads(done.stdout)
        return said
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        raise FamiliesError(f"the list of families failed: {''.join(last)}") from error
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise FamiliesError(f"the list of families failed: {error}") from error
