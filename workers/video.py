"""Videos for models that take none: their frames as images, in order, with a note in the run.

Frames were sampled and prepared by the runner; nothing here opens a file. What a model that does
take videos is given is its engine's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.commands import Turn
from schemas.shared.plural import pluralize

from .error_classes import WorkerFailure


def has_videos(turns: Sequence[Turn]) -> bool:
    """Whether any turn shows a video."""
    return any(turn.videos for turn in turns)


def as_images(turns: Sequence[Turn]) -> list[Turn]:
    """The same turns, with each video's frames standing among the images in its place."""
    return [_frames_as_images(turn) if turn.videos else turn for turn in turns]


def _frames_as_images(turn: Turn) -> Turn:
    images: list[str] = []
    for place in range(len(turn.images) + 1):
        images += [path for v in turn.videos if v.before == place for path in v.frames]
        images += turn.images[place : place + 1]
    return replace(turn, images=tuple(images), videos=())


def notes(turns: Sequence[Turn]) -> list[str]:
    """Notes for a run whose videos were given as images."""
    counts = [len(video.frames) for turn in turns for video in turn.videos]
    return [f"video given as {pluralize(n, 'image')}" for n in counts]


def video_failure(failure: WorkerFailure) -> WorkerFailure:
    """A refusal of the images that a video became, reworded for the video."""
    if failure.error_class != "unsupported":
        return failure
    return WorkerFailure(
        "unsupported",
        f"The model takes no video, nor its frames as images: {failure.message}",
        "Leave this model out of prompts about videos, or set video: {frames: 1}.",
    )
