"""Fetches a hub id into a folder on disk; a separate phase, never counted as load.

Only this file touches the network. Once the files are there the process goes offline, so that
no library looks for something newer (or something else) behind our back.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.commands import Load
from schemas.engines import AUTO, DEFAULT, engines, may_be_chosen
from schemas.events import Progress
from schemas.family import Family
from schemas.shared import hub_cache
from schemas.shared.hub_cache import COMMIT

from .engine import check_installed, is_installed, missing_engine
from .error_classes import WorkerFailure, classify
from .timing import EventSink

WANTED = ("*.json", "*.jsonl", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.safetensors")
# Copies of the weights in other forms, and folders for other runtimes (onnx/, original/).
UNWANTED = ("*/*", "consolidated*.safetensors", "training_args.bin", "optimizer*")
TOKENIZER = ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json")
NAMED_TOKENIZER = re.compile(
    r"""\bTokenizer\.from_pretrained\(\s*["']([\w.-]+/[\w.-]+)["']"""
    r"""(?:\s*,\s*revision\s*=\s*["']([^"'\s]+)["'])?"""
)
EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedModel:
    """A model's folder on disk. `commit` and `download_s` are None for a local folder."""

    folder: Path
    source: str | None = None
    commit: str | None = None
    download_s: float | None = None


def fetch(ask: Load, emit: EventSink) -> FetchedModel:
    """The folder that holds what `ask` names, downloaded where it is not in the cache.

    Raises `WorkerFailure`: not_found, gated, network, not_in_cache, remote_code_not_allowed,
    missing_package.
    """
    if ask.local:
        return FetchedModel(folder=Path(ask.model))
    check_remote_code(ask)
    if not hub_cache.offline() and not is_installed("huggingface_hub"):
        check_installed(missing_engine(fetching_engine(ask), "huggingface_hub"))
    start = time.monotonic()
    folder = snapshot(ask.model, ask.revision, patterns(ask), emit)
    seconds = time.monotonic() - start
    commit = folder.name if COMMIT.fullmatch(folder.name) else None
    return FetchedModel(folder=folder, source=ask.model, commit=commit, download_s=seconds)


def fetching_engine(ask: Load) -> str:
    """The engine whose extra brings the hub's library, before the files tell which is right."""
    if ask.engine != AUTO:
        return ask.engine
    chosen = (info.name for info in engines().values() if info.platforms and may_be_chosen(info))
    return next(chosen, DEFAULT)


def fetch_extras(family: Family, ask: Load, folder: Path, emit: EventSink) -> None:
    """Fetch the other repositories that the code in `folder` reads its tokenizer from.

    Only if that code will run, and only repositories that the family's file names too: code
    that nobody has reviewed does not choose what is fetched.
    """
    if ask.trust_remote_code and family.extra_repositories:
        for model, revision in named_tokenizers(folder):
            if model in family.extra_repositories:
                snapshot(model, revision, list(TOKENIZER), emit)


def named_tokenizers(folder: Path) -> list[tuple[str, str | None]]:
    """Hub ids and revisions that a checkpoint's own code reads tokenizers from; runs nothing."""
    found: dict[tuple[str, str | None], None] = {}
    for path in sorted(folder.glob("*.py")):
        for match in NAMED_TOKENIZER.finditer(path.read_text(encoding="utf-8", errors="replace")):
            found[match[1], match[2]] = None
    return list(found)


def check_remote_code(ask: Load) -> None:
    """Raises `WorkerFailure` if the hub's code would run without a pinned commit."""
    if ask.trust_remote_code and not COMMIT.fullmatch(ask.revision or ""):
        raise WorkerFailure(
            "remote_code_not_allowed",
            f"{ask.model} may run its own code only at a fixed commit, not at "
            f"revision {ask.revision or 'main'!r}",
            "Set `revision` to the 40-digit commit you have reviewed.",
        )


def patterns(ask: Load) -> list[str]:
    """File name patterns of what is needed, and of nothing that could run unasked."""
    code = ["*.py"] if ask.trust_remote_code else []
    pickles = ["*.bin", "*.pt", "*.pth"] if ask.allow_pickle else []
    return [*WANTED, *code, *pickles]


def snapshot(model: str, revision: str | None, wanted: list[str], emit: EventSink) -> Path:
    """The local folder of a hub repository at a revision; progress goes to `emit`.

    Offline it is the one that the preflight check finds, by the same lookup.
    """
    if hub_cache.offline():
        there = hub_cache.snapshot(model, revision)
        if there is None:
            raise not_in_cache(model, revision)
        return there
    from huggingface_hub import snapshot_download

    emit(Progress(phase="download", message=f"looking for {model}"))
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=wanted,
            ignore_patterns=list(UNWANTED),
            tqdm_class=_progress_bar_class(emit),
        )
    except Exception as error:
        failure = hub_failure(error, model, revision)
        found = hub_cache.find(model, revision)
        if failure.error_class != "network" or found is None or not found.complete:
            raise failure from error
        emit(Progress(phase="download", message="the hub can't be reached: using the local cache"))
        return found.folder
    return Path(folder)


def not_in_cache(model: str, revision: str | None = None) -> WorkerFailure:
    """The failure of a model that is not in the cache of a machine that stays offline."""
    why = hub_cache.describe_absence(model, revision)
    at = f" --revision {revision}" if revision else ""
    hint = f"Fetch it with the network on: HF_HUB_OFFLINE=0 hf download {model}{at}"
    if " and no main: " in why:
        hint = "Set revision to one of them, or fetch main: " + hint.partition(": ")[2]
    message = f"{why[0].upper()}{why[1:]}" if why.startswith("the ") else why
    return WorkerFailure("not_in_cache", f"{message}, and HF_HUB_OFFLINE is set", hint)


def go_offline() -> None:
    """Make the hub's libraries in this process use only the files on disk."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:  # it read the environment when it was imported
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def hub_failure(error: Exception, model: str, revision: str | None) -> WorkerFailure:
    """The hub's error as a `WorkerFailure`, with a shorter message if the hub's is long."""
    failure = classify(error, "download")
    if failure.error_class == "not_in_cache":
        message = f"The hub can't be reached and {model} is not in the local cache: {error}"
        return WorkerFailure("network", message, "Check the connection and try again.")
    at = f" at revision {revision}" if revision else ""
    if failure.error_class == "network":
        message = f"could not reach the hub for {model}: {failure.message}"
        return WorkerFailure("network", message, failure.hint)
    if failure.error_class == "gated":
        message = f"{model} is gated: its authors' terms have to be accepted first"
        return WorkerFailure("gated", message, failure.hint)
    if failure.error_class == "not_found":
        message = f"{model}{at} is not on the hub, or it is private"
        return WorkerFailure("not_found", message, failure.hint)
    return failure


def _progress_bar_class(emit: EventSink) -> type[Any]:
    """A progress bar class for the hub's library that draws nothing and tells us instead."""
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    class Bar(tqdm):  # type: ignore[type-arg, misc, unused-ignore]
        monitor_interval = 0  # no watcher thread of tqdm's own

        def __init__(self, *args: Any, **options: Any) -> None:
            quiet = {"file": io.StringIO(), "mininterval": EVERY_S, "disable": False}
            super().__init__(*args, **{**options, **quiet})

        def display(self, *args: Any, **options: Any) -> None:
            if self.unit == "B" and self.desc != "Downloading bytes":  # the other bar has the total
                done, total = float(self.n), float(self.total) if self.total else None
                message = "downloading"
                emit(Progress(phase="download", message=message, done=done, total=total, unit="B"))

    return Bar
