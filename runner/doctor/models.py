"""Checks engines, devices, the hub and its cache.

Imports no model library: the workers' side runs in separate processes.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.engines import DEFAULT, EngineInfo, engines, is_remote
from schemas.shared import hub_cache

from ..planning import family_info
from ..text.sanitize import display_path, one_line
from ..text.units import pluralize
from .check import Check, state_of

DEVICES_S = 180.0
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def model_checks(devices: bool) -> Iterator[Check]:
    """Yield checks of engines, devices (if requested), the hub and its cache."""
    described = family_info.run_describe()
    yield from engine_checks({k: v["missing_packages"] for k, v in described["engines"].items()})
    if devices:
        yield from (device(info) for info in engines().values() if info.device_program)
    yield check_hub(described["offline"])
    yield cache(hub_cache.root())


def engine_checks(missing: dict[str, list[str]]) -> Iterator[Check]:
    """Check each engine's packages and versions; an engine for servers needs no library."""
    for name, packages in missing.items():
        versions = ", ".join(f"{p} {version(p)}" for p in engines()[name].libraries if version(p))
        detail = versions or "needs no library: asks a server"
        if packages:
            detail = f"missing: {', '.join(packages)}"
        yield Check("models", f"engine {name}", state_of(not packages, "unavailable"), detail)
    if all(packages for name, packages in missing.items() if not is_remote(name)):
        detail = (
            "none is installed, so only servers can be used: pip install"
            f" 'vlmsweep[{engines()[DEFAULT].extra}]'"
        )
        yield Check("models", "any engine", "problem", detail)


def version(package: str) -> str | None:
    """Return an installed package's version without importing it, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def device(info: EngineInfo) -> Check:
    """The devices that a library finds, queried in a separate process with a deadline."""
    library = info.libraries[-1]
    check = f"devices of {library}"
    if version(library) is None:
        return Check("models", check, "unavailable", f"{library} is not installed")
    try:
        command = [sys.executable, "-P", "-c", info.device_program or ""]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEVICES_S, stdin=subprocess.DEVNULL
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Check("models", check, "problem", f"{library} did not answer in {DEVICES_S:g} s")
    except (OSError, ValueError):
        last = one_line("".join((done.stderr or "").strip().splitlines()[-1:]))
        return Check("models", check, "problem", f"{library} cannot be used: {last}")
    return Check("models", check, "ok", ", ".join(found))


def check_hub(offline: bool) -> Check:
    """Whether models may be fetched. The token itself is never shown."""
    token = any(os.environ.get(name) for name in TOKENS) or hub_cache.token_path().exists()
    detail = "a token is set" if token else "without a token, so public models only"
    if offline:
        return Check(
            "models", "hub", "unavailable", "offline mode is on: only cached models are available"
        )
    return Check("models", "hub", "ok", f"models may be fetched; {detail}")


def cache(root: Path) -> Check:
    """Check the hub cache folder."""
    where = display_path(root)
    if not root.is_dir():
        return Check("models", "hub cache", "unavailable", f"nothing yet at {where}")
    count = sum(1 for _ in root.glob("models--*"))
    if not os.access(root, os.W_OK):
        detail = f"{pluralize(count, 'model')} at {where}, which cannot be written to"
        return Check("models", "hub cache", "unavailable", detail)
    return Check("models", "hub cache", "ok", f"{pluralize(count, 'model')} at {where}")
