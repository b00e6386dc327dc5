"""Parts of the programs of all engines: the model's name, images, turns, calls.

Every stored value is written as a Python literal: nothing in a history becomes code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..text.load_code import LoadCode
from .redact import redact
from .run_record import RunRecord


def model_lines(case: RunRecord) -> list[str]:
    """The model's name; of a folder its path, home folder and all left to be filled in."""
    location = redact(str(case.model["location"]))
    if case.model["source"] == "local" and location.startswith("~"):
        return ["from pathlib import Path", "", f"MODEL = str(Path({location!r}).expanduser())"]
    return [f"MODEL = {location!r}"]


def load_code(case: RunRecord, model_class: str, attention: str | None = None) -> LoadCode:
    """The code that repeats the run's load; `MODEL` holds the model's name."""
    commit = case.found.get("commit_hash") or case.variant.get("revision") or case.model["revision"]
    return LoadCode(
        model="MODEL",
        model_class=model_class,
        revision=commit if case.model["source"] == "hub" else None,
        dtype=case.worker.get("dtype") or case.spec.dtype,
        device=case.worker.get("device") or case.spec.device,
        attention=attention,
        trust_remote_code=case.spec.trust_remote_code,
        allow_pickle=case.spec.allow_pickle,
        processor=case.spec.processor,
    )


def image_files(case: RunRecord) -> list[list[str]]:
    """File names, relative to the program, of each image (of a video, its frames)."""
    found: list[list[str]] = []
    number = 1
    for row in case.images:
        count = len(json.loads(row["frame_paths"])) if row["frame_paths"] else 1
        found.append([f"image-{n}.png" for n in range(number, number + count)])
        number += count
    return found


def images(case: RunRecord) -> list[str]:
    """All those names, in order."""
    return [name for names in image_files(case) for name in names]


def opened(case: RunRecord) -> list[str]:
    """The images, opened."""
    names = ", ".join(f'Image.open("{name}")' for name in images(case))
    note = ["# Frames of a video, given as images."] if frames(case) else []
    return [*note, f"images = [{names}]"]


def frames(case: RunRecord) -> bool:
    """Whether there is a video among the images."""
    return any(row["frame_paths"] for row in case.images)


def turns(case: RunRecord) -> list[dict[str, str]]:
    """The conversation up to the last question that was put, the model's own answers in it."""
    asked = json.loads(case.prompt["turns"])
    transcript = json.loads(case.run["transcript"] or "[]")
    answers = [turn["text"] for turn in transcript if turn["role"] == "assistant"]
    found: list[dict[str, str]] = []
    for turn in asked:
        if found and turn["role"] == "user" and found[-1]["role"] == "user":
            number = sum(one["role"] == "assistant" for one in found)
            if number >= len(answers):
                break
            found.append({"role": "assistant", "text": answers[number]})
        found.append({"role": turn["role"], "text": turn["text"]})
    return found


def first_question(messages: Sequence[Mapping[str, Any]]) -> int:
    """Index of the turn that holds the images."""
    return next((i for i, turn in enumerate(messages) if turn["role"] == "user"), 0)


def listed(name: str, values: Sequence[Any]) -> list[str]:
    """A list as Python, an item a line."""
    return [f"{name} = [", *(f"    {value!r}," for value in values), "]"]
