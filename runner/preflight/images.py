"""Finds missing and broken images, and checks the disk space for prepared images."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from schemas.image import VIDEO_SUFFIXES

from .. import own_packages
from ..image_prep.decode_client import decoder_environment, printable
from ..planning.image_folders import group_by_reason
from ..planning.plan import Plan
from ..system.disk import free_bytes
from ..text import units
from ..text.sanitize import display_path
from .finding import Finding

LIMIT_S = 10.0
IMAGE = "image"
LEFT_OUT = "left_out"
NAMES_SHOWN = 3
COMMAND = own_packages.command("runner.image_prep.probe_worker")
# Bytes per pixel of a prepared PNG: photographs compress to about half of their raw size.
PIXEL_BYTES = 1.6


def check_images(plan: Plan, folder: Path, limit_s: float = LIMIT_S) -> Iterator[Finding]:
    """Yield findings about image headers, read until `limit_s` seconds have passed."""
    answers = probe_images(plan.images, limit_s)
    for path, answer in zip(plan.images, answers, strict=False):
        if "message" in answer:
            where, message = display_path(path), str(answer["message"])
            yield Finding("problem", IMAGE, where, message)
        for note in answer.get("notes", ()):
            yield Finding("note", IMAGE, display_path(path), printable(note))
    if len(answers) < len(plan.images):
        message = f"{len(answers)} of {len(plan.images)} were checked in {limit_s:g} s"
        yield Finding("note", "images", "images", message)
    yield from left_out_findings(plan)
    yield from check_image_space(plan, answers, folder)


def left_out_findings(plan: Plan) -> Iterator[Finding]:
    """Yield a finding for each reason for which files or folders were left out."""
    for first, paths in group_by_reason(plan.left_out):
        names = ", ".join(map(display_path, paths[:NAMES_SHOWN]))
        more = f" and {len(paths) - NAMES_SHOWN} more" if len(paths) > NAMES_SHOWN else ""
        message = f"{len(paths)} left out: {first.reason}: {names}{more}"
        yield Finding(first.severity, LEFT_OUT, "images", message)


def check_image_space(
    plan: Plan, answers: Sequence[dict[str, Any]], folder: Path
) -> Iterator[Finding]:
    """Yield a problem if the prepared images, estimated from `answers`, exceed the free space."""
    side, frames = plan.sweep.image.max_side, plan.sweep.video.frames
    sizes = [estimated_png_bytes(a["width"], a["height"], side) for a in answers if a.get("width")]
    mean = sum(sizes) / len(sizes) if sizes else estimated_png_bytes(1920, 1080, side)
    videos = sum(path.suffix.lower() in VIDEO_SUFFIXES for path in plan.images)
    needed = int(mean * (len(plan.images) - videos + videos * frames))
    free = free_bytes(folder)
    if free is not None and needed > free:
        message = f"prepared, they take about {units.size(needed)}; {units.size(free)} are free"
        hint = "free disk space, choose another database with --db, or a smaller image.max_side"
        yield Finding("problem", "disk", display_path(folder), message, hint)


def estimated_png_bytes(width: int, height: int, side: int | None) -> float:
    """Return the approximate bytes of one prepared image."""
    scale = min(1.0, side / max(width, height)) if side else 1.0
    return width * height * scale * scale * PIXEL_BYTES


def probe_images(paths: Sequence[Path], limit_s: float) -> list[dict[str, Any]]:
    """Return the answers of `runner.image_prep.probe_worker`, in order, until the time limit.

    The list ends before an image that crashes the process.
    """
    found: list[dict[str, Any]] = []
    lines = "".join(os.fsencode(path).hex() + "\n" for path in paths).encode()
    if not paths:
        return found
    try:
        completed = subprocess.run(
            COMMAND, env=decoder_environment(), input=lines, capture_output=True, timeout=limit_s
        )
        output = completed.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    except OSError:
        return found
    for line in output.split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
