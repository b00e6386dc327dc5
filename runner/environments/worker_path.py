"""The folder from which a foreign interpreter imports our worker, and nothing else of ours.

Our site-packages on its path would shadow the libraries it was chosen for. So a folder of its own
holds links to the two packages a worker is made of.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

from ..errors import VlmsweepError
from . import cache

PACKAGES = ("workers", "schemas")


def worker_path() -> Path:
    """The folder, made if need be; another installation of ours has another."""
    homes = {name: package_folder(name) for name in PACKAGES}
    key = hashlib.sha256("\n".join(map(str, homes.values())).encode()).hexdigest()[:20]
    there = cache.root() / f"workers-{key}"
    if all((there / name / "__init__.py").exists() for name in PACKAGES):
        return there
    there.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".workers-", dir=there.parent))
    for name, package in homes.items():
        (made / name).symlink_to(package, target_is_directory=True)
    try:
        made.rename(there)
    except OSError:  # another vlmsweep was quicker
        for name in PACKAGES:
            (made / name).unlink()
        with contextlib.suppress(OSError):
            made.rmdir()
    return there


def package_folder(package: str) -> Path:
    """Where a package of ours lies, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise VlmsweepError(f"the package {package!r} is not installed beside the runner")
    return Path(os.path.abspath(spec.submodule_search_locations[0]))  # noqa: PTH100 - keeps links
