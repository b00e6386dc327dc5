"""Folders and files of this process's control groups (Linux cgroup v1 and v2).

Standard library only: the supervisor and the workers share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def own_groups(controller: str) -> list[tuple[int, Path, Path]]:
    """Version (1 or 2), mount point and folder of this process's groups; empty if unknown.

    In a container the folder may be the host's, while the group is mounted as the root.
    """
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            mount = ROOT / controllers
            groups.append((1 if controllers else 2, mount, mount / path.lstrip("/")))
    return groups


def own_files(controller: str, v2: str, v1: str | None = None) -> list[Path]:
    """Candidate paths of a file of the own group, by its name in each version (None: no file)."""
    return [
        folder / name
        for version, mount, own in own_groups(controller)
        if (name := v2 if version == 2 else v1) is not None
        for folder in (own, mount)
    ]


def files(controller: str, v2: str, v1: str | None = None) -> list[Path]:
    """The existing files of this name in the own group and all its parents."""
    found = {
        folder / name: None
        for version, mount, own in own_groups(controller)
        if (name := v2 if version == 2 else v1) is not None
        for folder in upwards(own, mount)
    }
    return [file for file in found if file.is_file()]


def folders(controller: str) -> list[Path]:
    """The folders of the own group and all its parents, visible or not."""
    groups = own_groups(controller)
    return list(dict.fromkeys(f for _, mount, own in groups for f in upwards(own, mount)))


def upwards(folder: Path, top: Path) -> Iterator[Path]:
    """`folder` and its parents up to and including `top`."""
    while folder != top and folder.is_relative_to(top):
        yield folder
        folder = folder.parent
    yield top
