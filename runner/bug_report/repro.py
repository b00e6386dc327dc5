"""A short Python program that does what a worker did, by the library's own documented calls.

For users without vlmsweep: the same model, numbers, device, prompt and settings, and a place
for the image. The workers' extra steps (counting, streaming, repairs) are left out; the steps
a family cannot run without are kept. The program stops where the conversation stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import cast

from schemas.engines import engines
from schemas.states import Phase

from .redact import redact
from .run_record import RunRecord


def snippet(case: RunRecord) -> str:
    """The program's text."""
    if case.run["phase"] == Phase.PREPARE:
        name = placeholder_name(case)
        lines = ["from PIL import Image", "", f'Image.open("{name}").convert("RGB")']
    else:
        lines = generator(case.engine)(case)
    return redact("\n".join(lines)) + "\n"


def generator(engine: str) -> Callable[[RunRecord], list[str]]:
    """The function that writes an engine's program, as its registry entry names it."""
    info = engines().get(engine)
    if info is None or info.reproduction is None:
        return no_program
    return cast(Callable[[RunRecord], list[str]], resolve_name(info.reproduction))


def no_program(case: RunRecord) -> list[str]:
    """For an engine that this installation does not know, or that declares no generator."""
    return [f"# No program can be written for the engine {case.engine!r}: none is registered."]


def placeholder_name(case: RunRecord) -> str:
    """A name for the file that could not be prepared."""
    broken = next((row for row in case.images if row["error_class"]), None)
    suffix = str(broken["name"]).rpartition(".")[2] if broken else "png"
    return f"image.{suffix}" if suffix.isalnum() else "image"
