"""The folder from which another interpreter imports the worker packages, and nothing else.

vlmsweep's site-packages on its path would shadow its own libraries. So a separate folder has links
to the two packages that a worker needs.
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
    """Return the folder, created if necessary; each installation of vlmsweep has its own.

    Raises OSError, and VlmsweepError when a package is not installed.
    """
    homes = {name: package_folder(name) for name in PACKAGES}
    key = hashlib.sha256("\n".join(map(str, homes.values())).encode()).hexdigest()[:20]
    target = cache.root() / f"workers-{key}"
    if all((target / name / "__init__.py").exists() for name in PACKAGES):
        return target
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = Path(tempfile.mkdtemp(prefix=".workers-", dir=target.parent))
    for name, package in homes.items():
        (temporary / name).symlink_to(package, target_is_directory=True)
    try:
        temporary.rename(target)
    except OSError:  # another vlmsweep was quicker
        for name in PACKAGES:
            (temporary / name).unlink()
        with contextlib.suppress(OSError):
            temporary.rmdir()
    return target


def package_folder(package: str) -> Path:
    """Return the folder of a package, without importing it. Raises VlmsweepError."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise VlmsweepError(f"the package {package!r} is not installed")
    return Path(os.path.abspath(spec.submodule_search_locations[0]))  # noqa: PTH100 - keeps links
