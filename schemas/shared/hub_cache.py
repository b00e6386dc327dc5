"""Looks at the hub's cache on disk: is a model there, how large, and is it whole?

It reads folder names and sizes only, by the layout that huggingface_hub documents, so that the
runner need not import that library. Workers fetch through the library itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz")
INDEX = ".safetensors.index.json"


@dataclass(frozen=True, slots=True)
class CachedModel:
    """What lies on disk of a model. `whole` is False while weight files are missing."""

    folder: Path
    weights_bytes: int
    whole: bool


def root() -> Path:
    """The cache's folder, as huggingface_hub would choose it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(name):
            return Path(value).expanduser()
    home = os.environ.get("HF_HOME")
    if not home:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    return Path(home).expanduser() / "hub"


def find(model: str, revision: str | None = None) -> CachedModel | None:
    """A hub model's snapshot in the cache, or None."""
    folder = root() / ("models--" + model.replace("/", "--"))
    wanted = revision or "main"
    try:
        commit = (folder / "refs" / wanted).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        commit = wanted
    return inspect_folder(folder / "snapshots" / commit)


def inspect_folder(folder: Path) -> CachedModel | None:
    """A folder's sizes; None when it is no folder or holds nothing."""
    sizes = dict(files(folder))
    if not sizes:
        return None
    weights = sum(size for name, size in sizes.items() if name.endswith(WEIGHTS))
    missing = indexed_weight_files(folder, sizes) - set(sizes)
    return CachedModel(folder, weights, bool(weights) and not missing)


def files(folder: Path) -> Iterable[tuple[str, int]]:
    """The folder's files, relative, with the sizes of what they link to."""
    for here, _, names in os.walk(folder):
        for name in names:
            path = Path(here, name)
            try:
                yield str(path.relative_to(folder)), path.stat().st_size
            except OSError:  # a link into the cache whose target was cleared away
                continue


def indexed_weight_files(folder: Path, sizes: Iterable[str]) -> set[str]:
    """The weight files that an index at the top of the folder names."""
    named: set[str] = set()
    for name in sizes:
        if name.endswith(INDEX) and "/" not in name:
            try:
                index = json.loads((folder / name).read_text(encoding="utf-8"))
                named |= set(index["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
    return named
