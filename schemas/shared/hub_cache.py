"""Looks up models in the Hugging Face hub cache on disk: folder, size, complete or not.

The one lookup that the supervisor and the workers share. It reads folder names and sizes only, by
the layout and the environment variables that huggingface_hub documents, so that neither side has
to import that library for it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz")
INDEX = ".safetensors.index.json"
COMMIT = re.compile(r"[0-9a-f]{40}")
DEFAULT_REVISION = "main"
TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads its variables


@dataclass(frozen=True, slots=True)
class CachedModel:
    """The files of a model on disk. `complete` is False while weight files are missing."""

    folder: Path
    weights_bytes: int
    complete: bool


def home() -> Path:
    """The folder of all that huggingface_hub keeps, from HF_HOME or XDG_CACHE_HOME."""
    cache = os.getenv("XDG_CACHE_HOME", os.path.join("~", ".cache"))  # noqa: PTH118 - "" stays ""
    return expand(os.getenv("HF_HOME", os.path.join(cache, "huggingface")))  # noqa: PTH118


def root() -> Path:
    """The cache folder, from HF_HUB_CACHE or HUGGINGFACE_HUB_CACHE, else below `home`."""
    path = os.getenv("HF_HUB_CACHE", os.getenv("HUGGINGFACE_HUB_CACHE"))
    return home() / "hub" if path is None else expand(path)


def token_path() -> Path:
    """The file in which huggingface_hub keeps the user's token."""
    path = os.getenv("HF_TOKEN_PATH")
    return home() / "token" if path is None else expand(path)


def expand(path: str) -> Path:
    """A path with `~` and environment variables replaced, in the order of huggingface_hub."""
    return Path(os.path.expandvars(os.path.expanduser(path)))  # noqa: PTH111


def offline() -> bool:
    """Whether huggingface_hub would refuse to use the network."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in TRUE


def commit_in_cache(model: str, revision: str | None = None) -> str | None:
    """The name of a model's snapshot folder for a revision (by default main), or None.

    A commit names its folder itself; a branch or tag is resolved by the file in `refs`. A cache
    without any file for main, copied by hand say, is understood while it has one snapshot only.
    """
    folder = repository(model)
    if folder is None or (revision is not None and ".." in Path(revision).parts):
        return None
    snapshots = folder / "snapshots"
    commit = revision or ""
    if not COMMIT.fullmatch(commit):
        try:
            ref = folder / "refs" / (revision or DEFAULT_REVISION)
            commit = ref.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            commit = only_snapshot(snapshots) if revision is None else commit
    there = Path(commit).name == commit and commit not in ("", "..")
    return commit if there and (snapshots / commit).is_dir() else None


def only_snapshot(snapshots: Path) -> str:
    """The name of the only folder there; empty if there are none or several."""
    names = folder_names(snapshots)
    return names[0] if len(names) == 1 else ""


def folder_names(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def names_commit(model: str, revision: str | None = None) -> bool:
    """Whether the revision is a commit, or the cache knows which commit it means."""
    folder = repository(model)
    if folder is None or COMMIT.fullmatch(revision or ""):
        return folder is not None
    return (folder / "refs" / (revision or DEFAULT_REVISION)).is_file()


def describe_absence(model: str, revision: str | None = None) -> str:
    """Return why `snapshot` finds nothing, as a clause: `org/model (main) is not in ...`."""
    folder, commit = repository(model), commit_in_cache(model, revision)
    if folder is not None and commit is not None:
        return f"the files of {model} ({commit[:12]}) in the local cache are links to nothing"
    there = folder_names(folder / "snapshots") if folder is not None else []
    if len(there) > 1 and revision is None and not names_commit(model):
        names = ", ".join(there[:4])
        return f"the local cache has {len(there)} revisions of {model} and no main: {names}"
    return f"{model} ({revision or DEFAULT_REVISION}) is not in the local cache"


def repository(model: str) -> Path | None:
    """The cache folder of a hub id; None if the name is not a hub id."""
    if not model or model.startswith(("/", ".")) or model.count("/") > 1 or "\0" in model:
        return None
    return root() / ("models--" + model.replace("/", "--"))


def snapshot(model: str, revision: str | None = None) -> Path | None:
    """The folder of a hub model at a revision; None if no file of it can be read."""
    folder, commit = repository(model), commit_in_cache(model, revision)
    if folder is None or commit is None:
        return None
    path = folder / "snapshots" / commit
    return path if any(True for _ in files(path)) else None


def find(model: str, revision: str | None = None) -> CachedModel | None:
    """A hub model in the cache with its size, or None."""
    folder = snapshot(model, revision)
    return inspect_folder(folder) if folder is not None else None


def inspect_folder(folder: Path) -> CachedModel | None:
    """A folder's sizes; None if it is not a folder or is empty."""
    sizes = dict(files(folder))
    if not sizes:
        return None
    weights = sum(size for name, size in sizes.items() if name.endswith(WEIGHTS))
    missing = indexed_weight_files(folder, sizes) - set(sizes)
    return CachedModel(folder, weights, bool(weights) and not missing)


def files(folder: Path) -> Iterable[tuple[str, int]]:
    """The folder's files, relative, with the sizes in bytes of what they link to."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                yield str(path.relative_to(folder)), path.stat().st_size
            except OSError:  # a link into the cache whose target was removed
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
