"""What is known of one picture, and what the supervisor and the decoding subprocess say of it.

Plain dataclasses, so that the subprocess needs nothing but the standard library and Pillow.
There is no behaviour here: `runner.pictures` asks, `runner.decode` answers.
All sizes are bytes or pixels; None means unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PictureError = Literal["bad_image", "not_found", "missing_package"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A source file and the pixels made from it, apart from where they lie.

    `mode`, `width` and `height` are the stored source's, before it is turned upright;
    `orientation` is EXIF's, 1 to 8. `frames` counts frames or pages, of which the first is used.
    `prepared_sha256` is over width, height and RGB pixels, so that it does not depend on how the
    prepared file is compressed. `reused` tells that nothing was decoded: the folder knew it.
    `message` is for people and set only with `error_class`.
    """

    source_sha256: str | None = None
    source_bytes: int | None = None
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    frames: int | None = None
    prepared_sha256: str | None = None
    prepared_width: int | None = None
    prepared_height: int | None = None
    reused: bool = False
    error_class: PictureError | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture(Facts):
    """One path a user named. `prepared_path` is absolute, and None where there is an error."""

    path: Path
    prepared_path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Prepare one picture. `path` and `folder` are hexadecimal: a path is bytes, not text."""

    number: int
    path: str
    folder: str
    max_side: int | None
    max_pixels: int
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Facts):
    """What became of the order with the same number.

    `folder_error` is a failure of the folder for prepared pictures, not of the picture.
    `retire` asks to be replaced: after a failed allocation nothing is certain.
    """

    number: int
    folder_error: str | None = None
    retire: bool = False
