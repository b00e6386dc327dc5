"""The facts of the environment a figure was taken in: versions, machine, accelerator.

Only named libraries are looked up. Environment variables are never read into it, so that no
secret can end in the database.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sqlite3

import psutil

from schemas.rows import Environments

from . import host

PACKAGES = ("vlmsweep", "pillow", "pillow-heif", "psutil", "sqlite-utils", "pydantic")


def supervisor_environment() -> Environments:
    """The environment of this process."""
    packages = {"sqlite": sqlite3.sqlite_version}
    for name in PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return environment_row(packages, platform.python_version(), None)


def worker_environment(
    versions: dict[str, str], python: str, accelerator: str | None
) -> Environments:
    """The environment a worker reported: its libraries, on this machine."""
    return environment_row(versions, python, accelerator)


def environment_row(packages: dict[str, str], python: str, accelerator: str | None) -> Environments:
    """A row without its id and hash."""
    return Environments(
        python=python,
        platform=platform.platform(),
        machine=platform.machine(),
        cpu=host.cpu_name(),
        cores=host.cores(),
        memory_bytes=psutil.virtual_memory().total,
        accelerator=accelerator,
        packages=json.dumps(packages, sort_keys=True),
    )
