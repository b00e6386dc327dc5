"""Prepare a sweep's images once, in a subprocess, so that no file can harm the supervisor.

An order a path goes to `runner.image_prep.decode_client`, and what is made of each becomes a
PreparedImage. No image is opened here and no image library imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

from schemas.image import VIDEO_SUFFIXES, DecodeRequest, ImageFacts, Kind, PreparedImage

from .decode_client import DecodeClient, printable

LEAST_MEMORY_BYTES = 128 << 20
MAX_PATH_BYTES = 4096
VIDEO_TIMES = 4  # so much longer than an image may a video take


def prepare_images(
    paths: Sequence[Path],
    *,
    max_side: int | None,
    folder: Path,
    limit_s: float = 30,
    memory_bytes: int = 2 << 30,
    max_pixels: int = 200_000_000,
    max_frames: int = 8,
    on_image: Callable[[PreparedImage], None] | None = None,
) -> list[PreparedImage]:
    """Prepare images as upright RGB PNG files in `folder`: one Image per path, in order.

    The longest side is shrunk to `max_side` pixels (None keeps the size; nothing is enlarged).
    An image that takes over `limit_s` seconds, needs over `memory_bytes` of address space or
    has over `max_pixels` pixels gets an `error_class` and a `message`, as does every other bad
    file; no file makes this raise. `on_image` is called as each one is done.

    A video (by its file's name) gives `max_frames` such PNG files, evenly over its length, or
    all its frames where it has fewer; it may take four times `limit_s`.

    Raises ValueError for limits that make no sense, DecoderError where no decoder starts, and
    ImageFolderError where `folder` can't be written.
    """
    _check_limits(max_side, max_pixels, max_frames, limit_s, memory_bytes)
    root = Path(os.path.abspath(folder))  # noqa: PTH100 (resolve() would follow links)
    where = os.fsencode(root).hex()
    blank = DecodeRequest(
        number=0, path="", folder=where, max_side=max_side, max_pixels=max_pixels, limit_s=limit_s
    )
    video = replace(blank, max_frames=max_frames, limit_s=VIDEO_TIMES * limit_s)
    images: list[PreparedImage] = []
    with DecodeClient(root, memory_bytes) as decoder:
        for number, path in enumerate(paths):
            is_video = path.suffix.lower() in VIDEO_SUFFIXES
            order = replace(video if is_video else blank, number=number)
            images.append(image := _one(decoder, path, root, order))
            if on_image is not None:
                on_image(image)
    return images


def _check_limits(
    max_side: int | None, max_pixels: int, max_frames: int, limit_s: float, memory_bytes: int
) -> None:
    """Raise ValueError for limits that cannot be met."""
    if min(max_pixels, max_frames, 1 if max_side is None else max_side) < 1 or limit_s <= 0:
        raise ValueError("max_side, max_pixels, max_frames and limit_s must be positive")
    if memory_bytes < LEAST_MEMORY_BYTES:
        raise ValueError(f"memory_bytes must be at least {LEAST_MEMORY_BYTES}")


def _one(decoder: DecodeClient, path: Path, root: Path, order: DecodeRequest) -> PreparedImage:
    name = _bytes(path)
    kind: Kind = "image" if order.max_frames is None else "video"
    if isinstance(name, str):
        return PreparedImage(path=path, kind=kind, error_class="not_found", message=name)
    answer = decoder.answer(replace(order, path=name.hex()))
    known = {field.name: getattr(answer, field.name) for field in fields(ImageFacts)}
    known |= {"kind": kind, "max_frames": order.max_frames}  # a lost decoder does not say
    if answer.message is not None:  # libraries quote a file's bytes in their messages
        known["message"] = printable(answer.message)
    known["notes"] = tuple(printable(note) for note in answer.notes)
    digest = answer.prepared_sha256
    prepared = root / digest[:2] / f"{digest}.png" if digest else None
    frames = tuple(root / name[:2] / f"{name}.png" for name in answer.frame_sha256s)
    return PreparedImage(path=path, prepared_path=prepared, frame_paths=frames, **known)


def _bytes(path: Path) -> bytes | str:
    """Return the path as bytes, or the reason why it is invalid."""
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:
        return "is not a name this system can store: check the path"
    if b"\0" in name:
        return "holds a NUL character, which no file's name can: check the path"
    return name if len(name) <= MAX_PATH_BYTES else "is too long a path: check it"
