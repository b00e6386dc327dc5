"""`python -m workers.preflight`: finds problems of loads before any is tried.

Reads a `Load` a line on its standard input and answers each with an object a line, as soon as it
is known, so that whoever stops waiting has the answers so far. It looks at files and imports no
model library; with `--hub` it asks the hub about what is not on disk, which imports
huggingface_hub. Nothing is fetched, and no model's code is run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schemas.commands import Load
from schemas.engines import engine_info, is_remote
from schemas.shared import hub_cache
from schemas.shared.packages import MissingPackages
from schemas.shared.redact import redact

from . import memory_check
from .checkpoint import read_checkpoint, read_config
from .engine import choose_engine, is_installed, make_engine, missing_engine
from .error_classes import WorkerFailure, fill_hint
from .families import find_family
from .fetch import (
    UNWANTED,
    check_remote_code,
    fetching_engine,
    hub_failure,
    not_in_cache,
    patterns,
)
from .lora_adapter import refuse_adapter
from .requirements import check_loadable, missing_for

HUB = "huggingface_hub"
HUB_S = 10.0  # for one question to the hub
SERVER_S = 3.0  # for each wait for a model server


def check_load(ask: Load, hub: bool = False) -> dict[str, Any]:
    """Check one load without starting it.

    `problem` is None if there is none, else class, message, hint, and whether a run waits for it
    to end (`temporary`). `needs_download`: files
    have to be fetched first; `download_bytes` is their size, None if the hub was not queried;
    `hub_queried` is True if it was.
    """
    facts: dict[str, Any] = {
        "family": None,
        "engine": None if ask.engine == "auto" else ask.engine,
        "missing_packages": [],
        "weights_bytes": None,
        "needs_download": False,
        "download_bytes": None,
        "hub_queried": False,
        "has_custom_code": False,
        "problem": None,
    }
    try:
        if is_remote(ask.engine):
            check_remote(ask)
            return facts
        return facts | check_files(ask, hub)
    except WorkerFailure as failure:
        return facts | {"problem": as_dict(failure, ask)}


def check_files(ask: Load, hub: bool) -> dict[str, Any]:
    """Check a model's files, on this machine or at the hub. Raises WorkerFailure."""
    if not ask.local:
        check_remote_code(ask)
    folder = Path(ask.model) if ask.local else hub_cache.snapshot(ask.model, ask.revision)
    if folder is None and hub_cache.offline():
        raise not_in_cache(ask.model, ask.revision)
    if folder is None:
        return check_hub(ask, hub, None)
    fixed = ask.local or hub_cache.offline()
    if not fixed and not hub_cache.names_commit(ask.model, ask.revision):
        return check_unnamed(ask, hub, folder)
    try:
        return check_folder(ask, folder)
    except WorkerFailure as failure:
        if fixed or failure.error_class not in INCOMPLETE:
            raise
    return check_hub(ask, hub, folder)


# States left by an interrupted fetch, which the next fetch repairs.
INCOMPLETE = {
    "bad_config",
    "bad_processor",
    "bad_template",
    "bad_tokenizer",
    "corrupt_weights",
    "missing_shards",
    "missing_weights",
}


def check_unnamed(ask: Load, hub: bool, folder: Path) -> dict[str, Any]:
    """Check the only snapshot of a cache in which main has no commit.

    The hub decides whether it is fetched again; without the hub it is used as it is.
    """
    try:
        found = check_hub(ask, hub, folder)
    except WorkerFailure as failure:
        if failure.error_class != "network":
            raise
        return check_folder(ask, folder)
    return found if found["needs_download"] else found | check_folder(ask, folder)


def check_remote(ask: Load) -> None:
    """Check that a server has the model. Raises `WorkerFailure`, as a load would."""
    check = getattr(make_engine(ask.engine), "check_server", None)
    if check is not None:
        check(ask, SERVER_S)


def check_folder(ask: Load, folder: Path) -> dict[str, Any]:
    """Check a folder's files. Raises `WorkerFailure`."""
    family = find_family(read_config(folder))
    checkpoint = read_checkpoint(folder, allow_pickle=ask.allow_pickle)
    engine = choose_engine(checkpoint, family, ask)
    needs_code = family.FAMILY.remote_code and engine_info(engine).runs_model_code
    if needs_code and not ask.trust_remote_code:
        raise WorkerFailure(
            "remote_code_not_allowed",
            f"{ask.model} needs its own code to run",
            "If you trust its authors, set trust_remote_code for this model and pin its revision.",
        )
    check_loadable(checkpoint, family, engine, ask)
    dtype = memory_check.own_dtype(checkpoint) if ask.dtype == "auto" else ask.dtype
    return {
        "family": family.FAMILY.name,
        "engine": engine,
        "missing_packages": as_dicts(missing_for(checkpoint, family, engine, ask)),
        "weights_bytes": memory_check.weights_bytes(checkpoint, dtype),
        "has_custom_code": bool(checkpoint.auto_map) and not needs_code,
    }


def check_hub(ask: Load, hub: bool, folder: Path | None) -> dict[str, Any]:
    """Query the hub for a model that is missing or incomplete in the cache."""
    if not is_installed(HUB):
        absent = as_dicts(missing_engine(fetching_engine(ask), HUB))
        return {"needs_download": True, "missing_packages": absent}
    if not hub:
        return {"needs_download": True}
    from huggingface_hub.utils import filter_repo_objects

    info = query_hub(ask)
    sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
    refuse_adapter(ask.model, sizes)
    wanted = list(
        filter_repo_objects(
            list(sizes), allow_patterns=patterns(ask), ignore_patterns=list(UNWANTED)
        )
    )
    there = dict(hub_cache.files(folder)) if folder else {}
    missing = sum(sizes[name] for name in wanted if there.get(name) != sizes[name])
    weights = sum(sizes[n] for n in wanted if n.endswith((".safetensors", ".bin", ".pt", ".pth")))
    here = folder is not None and folder.name == info.sha and not missing
    facts = {
        "needs_download": not here,
        "download_bytes": missing,
        "weights_bytes": weights or None,
        "hub_queried": True,
    }
    if not weights:
        raise WorkerFailure(
            "missing_weights",
            f"{ask.model} has no weights on the hub that may be fetched",
            "Take another copy of it; pickled weights (.bin) need allow_pickle.",
        )
    return facts


def query_hub(ask: Load) -> Any:
    """Ask the hub for a model and its files. Raises WorkerFailure."""
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        info = api.model_info(ask.model, revision=ask.revision, files_metadata=True, timeout=HUB_S)
        if info.gated:
            api.auth_check(ask.model)
    except Exception as error:
        raise hub_failure(error, ask.model, ask.revision) from error
    return info


def as_dicts(missing: Sequence[MissingPackages]) -> list[dict[str, Any]]:
    """Missing packages as JSON objects."""
    return [asdict(need) for need in missing]


def as_dict(failure: WorkerFailure, ask: Load) -> dict[str, Any]:
    """A failure as a JSON object; its hint names the model."""
    return {
        "error_class": failure.error_class,
        "message": redact(failure.message),
        "hint": redact(fill_hint(failure.hint, ask) or "") or None,
        "temporary": failure.server_state is not None,
    }


def main() -> None:
    """Answer each line."""
    parser = argparse.ArgumentParser(prog="python -m workers.preflight", description=__doc__)
    parser.add_argument("--hub", action="store_true", help="ask the hub what is not on disk")
    options = parser.parse_args()
    hub = options.hub
    for line in sys.stdin:
        reply = check_load(Load(**json.loads(line)), hub)
        # A hub that cannot be reached is waited for once, not for every model.
        hub = hub and (reply["problem"] or {}).get("error_class") != "network"
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
