"""Which engines and devices workers would find here, and where models come from.

It imports no model library: the workers' side is asked in processes of its own.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.shared import hub_cache

from ..planning import family_info
from ..text.sanitize import display_path, one_line
from .check import Check, state_of

DEVICES_S = 180.0
LIBRARIES = {
    "transformers": ("transformers", "torch"),
    "mlx": ("mlx-vlm", "mlx"),
    "openai": (),
}
ASK = {
    "torch": """
import json, torch
found = ["cpu"]
for i in range(torch.cuda.device_count()):
    found.append(f"cuda:{i} ({torch.cuda.get_device_name(i)})")
if torch.backends.mps.is_available():
    found.append("mps")
print(json.dumps(found))
""",
    "mlx": """
import json, mlx.core as mx
print(json.dumps([str(mx.default_device())]))
""",
}
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def checks(devices: bool) -> Iterator[Check]:
    """Engines, devices if asked for, and the hub."""
    said = family_info.run_describe()
    yield from engines({k: v["missing_packages"] for k, v in said["engines"].items()})
    if devices:
        yield from map(device, ASK)
    yield check_hub(said["offline"])
    yield cache(hub_cache.root())


def engines(missing: dict[str, list[str]]) -> Iterator[Check]:
    """What the workers' side says, with versions. A server's engine needs no library."""
    for name, packages in missing.items():
        versions = ", ".join(f"{p} {version(p)}" for p in LIBRARIES.get(name, ()) if version(p))
        detail = versions or "needs no library: asks a server"
        if packages:
            detail = f"missing: {', '.join(packages)}"
        yield Check("models", f"engine {name}", state_of(not packages, "not here"), detail)
    if all(packages for name, packages in missing.items() if name != "openai"):
        said = (
            "none is installed, so only servers can be asked: pip install 'vlmsweep[transformers]'"
        )
        yield Check("models", "any engine", "problem", said)


def version(package: str) -> str | None:
    """An installed package's version, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def device(library: str) -> Check:
    """What a library finds to compute on, asked in a process that may take its time but no more."""
    check = f"devices of {library}"
    if version(library) is None:
        return Check("models", check, "not here", f"{library} is not installed")
    try:
        command = [sys.executable, "-P", "-c", ASK[library]]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEVICES_S, stdin=subprocess.DEVNULL
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Check("models", check, "problem", f"{library} did not answer in {DEVICES_S:g} s")
    except (OSError, ValueError):
        last = one_line("".join((done.stderr or "").strip().splitlines()[-1:]))
        return Check("models", check, "problem", f"{library} cannot be used: {last}")
    return Check("models", check, "in force", ", ".join(found))


def check_hub(offline: bool) -> Check:
    """Whether models may be fetched. Of a token it is only said that there is one."""
    token = any(os.environ.get(name) for name in TOKENS) or hub_cache.token_path().exists()
    said = "a token is set" if token else "without a token, so public models only"
    if offline:
        return Check("models", "hub", "not here", "offline mode is on: only what is in the cache")
    return Check("models", "hub", "in force", f"models may be fetched; {said}")


def cache(root: Path) -> Check:
    """The hub's folder on this machine."""
    where = display_path(root)
    if not root.is_dir():
        return Check("models", "hub cache", "not here", f"nothing yet at {where}")
    count = sum(1 for _ in root.glob("models--*"))
    if not os.access(root, os.W_OK):
        said = f"{count} models at {where}, which cannot be written to"
        return Check("models", "hub cache", "not here", said)
    return Check("models", "hub cache", "in force", f"{count} models at {where}")
