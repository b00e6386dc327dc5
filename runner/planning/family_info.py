"""Lists the model families, by running `python -m workers.describe` in a separate process.

The runner never imports workers: their environment may differ and their libraries are heavy.
The hub cache is read here, by `schemas.shared.hub_cache`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from schemas.shared import hub_cache

from .. import own_packages
from ..errors import SweepFileError, VlmsweepError
from ..paths import expand_home
from . import expand

LIMIT_S = 60.0


class FamiliesError(VlmsweepError):
    """`workers.describe` failed: the installation is broken."""

    exit_code = 70


def list_families() -> list[dict[str, Any]]:
    """Return the families; `cached` lists the example ids that are in the hub cache.

    Raises FamiliesError.
    """
    families: list[dict[str, Any]] = run_describe()["families"]
    for family in families:
        cached = {name: hub_cache.find(name) for name in family["example_ids"]}
        family["cached"] = [name for name, model in cached.items() if model and model.complete]
    return families


def aliases() -> dict[str, str]:
    """Return the model id of each short family name. Raises FamiliesError."""
    return {
        alias: family["example_ids"][0]
        for family in run_describe()["families"]
        if family["example_ids"]
        for alias in family["aliases"]
    }


def check_model(model: str) -> dict[str, Any]:
    """Return whether a model can run here, and the missing packages. Accepts an alias.

    Raises SweepFileError for a name that is neither a folder nor a hub id, and FamiliesError.
    """
    if model == expand.DEMO:
        return run_describe("--check", str(expand.demo_model()))
    target = aliases().get(model, model)
    if known := expand.known_file(expand_home(Path(target))):
        raise SweepFileError(f"{model!r} {known}")
    if not expand_home(Path(target)).is_dir() and expand.is_local_name(target):
        raise SweepFileError(f"{model!r} is neither a folder nor a hub id (org/name)")
    return run_describe("--check", target)


def run_describe(*arguments: str) -> dict[str, Any]:
    """Run `python -m workers.describe` and return its output. Raises FamiliesError."""
    command = own_packages.command("workers.describe", *arguments)
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    try:
        completed = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        description: dict[str, Any] = json.loads(completed.stdout)
        return description
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        raise FamiliesError(f"the list of families failed: {''.join(last)}") from error
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise FamiliesError(f"the list of families failed: {error}") from error
