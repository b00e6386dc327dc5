"""Chooses the project to report a failure to, by the place in the code where it happened.

A guess, with its reason: the innermost frame of a model library is better evidence
than the engine's name, and a missing file is the bug of the model's author.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.engines import engines
from schemas.states import Phase

from .run_record import RunRecord

FRAME = re.compile(r'File "([^"]+)", line (\d+)')
PACKAGE = re.compile(r"(?:site|dist)-packages[/\\](\w+)[/\\]")
MODELS_OWN = "transformers_modules"
# Model libraries, before the general libraries they use.
KNOWING = {
    "transformers": "huggingface/transformers",
    "mlx_vlm": "Blaizzy/mlx-vlm",
    "tokenizers": "huggingface/tokenizers",
    "safetensors": "huggingface/safetensors",
    "huggingface_hub": "huggingface/huggingface_hub",
    "accelerate": "huggingface/accelerate",
    "PIL": "python-pillow/Pillow",
    "av": "PyAV-Org/PyAV",
}
BELOW = {"mlx": "ml-explore/mlx", "torchvision": "pytorch/vision", "torch": "pytorch/pytorch"}
OF_THE_FILES = {
    "pointer_only_weights",
    "missing_shards",
    "corrupt_weights",
    "missing_weights",
    "bad_config",
    "bad_tokenizer",
    "bad_template",
    "bad_processor",
}
OF_THIS_MACHINE = {
    "environment",
    "missing_package",
    "not_in_cache",
    "not_found",
    "gated",
    "network",
    "remote_code_not_allowed",
    "pickle_not_allowed",
    "too_large",
    "too_long",
    "excluded",
    "quarantined",
}
OURS = {"internal", "protocol"}


@dataclass(frozen=True, slots=True)
class Project:
    """A project to report to: its name, its address for new reports (if known) and the reason."""

    name: str
    url: str | None
    why: str


def project(case: RunRecord) -> Project:
    """The project to report a run's failure to."""
    failure = case.run["error_class"]
    if failure in OURS:
        return Project("vlmsweep", None, "it is a fault of the program that ran the model")
    info = engines().get(case.engine)
    if info is not None and info.remote:
        return Project("the server's project", None, "the model runs in the server")
    if case.run["phase"] == Phase.PREPARE:
        return github("Pillow", KNOWING["PIL"], "the image could not be decoded")
    if failure in OF_THE_FILES:
        return repository(case, "its files are at fault")
    if failure in OF_THIS_MACHINE:
        return by_engine(case, "perhaps nobody's fault: it looks like this machine's set-up")
    if found := by_frames(case):
        return found
    return by_engine(case, "it is the library that runs the model")


def by_frames(case: RunRecord) -> Project | None:
    """By the innermost frame of a library."""
    stack = case.run["traceback"] or case.worker.get("stack") or ""
    # A stack taken at a kill begins with the innermost frame, of each thread; a traceback ends
    # with it, and that of the exception that was raised last comes last.
    taken = stack.partition("Current thread")[2]
    frames = FRAME.findall(taken) if taken else FRAME.findall(stack)[::-1]
    for known in (KNOWING, BELOW):
        for path, line in frames:
            if MODELS_OWN in path:
                return repository(case, "the failure is in the Python that it brings")
            package = PACKAGE.search(path)
            if package and package[1] in known:
                inside = path[package.start(1) :].replace("\\", "/")
                return github(package[1], known[package[1]], f"the failure is in {inside}:{line}")
    return None


def by_engine(case: RunRecord, why: str) -> Project:
    """By the library that ran the model."""
    info = engines().get(case.engine)
    library = next(iter(info.libraries), info.name) if info is not None else case.engine
    return Project(library, info.tracker if info is not None else None, why)


def repository(case: RunRecord, why: str) -> Project:
    """The model's own."""
    if case.model["source"] == "hub":
        name = str(case.model["location"])
        return Project(name, f"https://huggingface.co/{name}/discussions/new", why)
    return Project("whoever made the model's folder", None, why)


def github(name: str, place: str, why: str) -> Project:
    """A project on GitHub."""
    return Project(name, f"https://github.com/{place}/issues/new", why)
