"""`python -m workers.describe`: describes each family, and checks whether a model can run here.

Prints JSON for the runner. It runs in the worker's environment, for only there it can be seen
which packages are installed; it imports none of them, and never touches the network.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from schemas.commands import Load
from schemas.engines import engines
from schemas.shared import hub_cache
from schemas.shared.packages import install_command, pip_name

from .checkpoint import read_checkpoint, read_config
from .engine import choose_engine, missing_packages
from .error_classes import WorkerFailure
from .families import all_families, find_family
from .fetch import not_in_cache
from .requirements import check_loadable, missing_for


def describe() -> dict[str, Any]:
    """All families, and which engines this environment has."""
    return {
        "families": [asdict(module.FAMILY) for module in all_families()],
        "engines": {name: {"missing_packages": missing_packages(name)} for name in engines()},
        "offline": hub_cache.offline(),
    }


def check_model(model: str) -> dict[str, Any]:
    """Check a folder or hub id, using only the files on disk.

    `problem` is None if the model can be loaded, else class, message and hint. A model
    that is not in the cache is a problem only while offline.
    """
    local = Path(model).is_dir()
    folder = Path(model) if local else hub_cache.snapshot(model)
    facts: dict[str, Any] = {
        "model": model,
        "local": local,
        "offline": hub_cache.offline(),
        "folder": str(folder) if folder else None,
        "family": None,
        "engine": None,
        "missing_packages": [],
        "install": None,
        "problem": None,
    }
    try:
        if folder is None:
            offline = hub_cache.offline()
            return facts | {"problem": _problem(not_in_cache(model)) if offline else None}
        family = find_family(read_config(folder))
        facts["family"] = family.FAMILY.name
        checkpoint = read_checkpoint(folder)
        ask = Load(model=model, local=local)
        facts["engine"] = choose_engine(checkpoint, family, ask)
        allowed = replace(ask, trust_remote_code=True)
        missing = missing_for(checkpoint, family, facts["engine"], allowed)
        facts["missing_packages"] = [pip_name(name) for need in missing for name in need.packages]
        facts["install"] = install_command(missing, sys.executable) if missing else None
        check_loadable(checkpoint, family, facts["engine"], ask)
        facts["weights_bytes"] = sum(checkpoint.weights.values())
    except WorkerFailure as failure:
        facts["problem"] = _problem(failure)
    return facts


def _problem(failure: WorkerFailure) -> dict[str, Any]:
    return {
        "error_class": failure.error_class,
        "message": failure.message,
        "hint": failure.hint,
    }


def main() -> None:
    """Print the families, or with `--check` the facts about one model."""
    parser = argparse.ArgumentParser(prog="python -m workers.describe", description=__doc__)
    parser.add_argument("--check", metavar="FOLDER_OR_ID")
    options = parser.parse_args()
    print(json.dumps(check_model(options.check) if options.check else describe(), indent=2))


if __name__ == "__main__":
    main()
