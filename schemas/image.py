"""Facts about one image, and the messages of the supervisor and the decoding subprocess.

Plain dataclasses, so that the subprocess needs nothing but the standard library and Pillow.
There is no behaviour here: `runner.image_prep` asks, `runner.decode` answers.
All sizes are bytes or pixels; None means unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ImageError = Literal["bad_image", "not_found", "missing_package"]
Kind = Literal["image", "video"]

# Suffixes, in lower case, of paths that are decoded as videos.
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """A source file and the pixels made from it, without their paths.

    `mode`, `width` and `height` are the stored source's, before it is turned upright;
    `orientation` is EXIF's, 1 to 8. `frames` counts frames or pages, of which the first is used.
    `prepared_sha256` is over width, height and RGB pixels, so that it does not depend on how the
    prepared file is compressed. `reused`: nothing was decoded, the folder had it already.
    `message` is readable text, set only with `error_class`; `notes` name the metadata left
    out of a file that was decoded.

    Of a video `orientation` is what its display matrix comes to in EXIF's words, `frames` counts
    all its frames, `max_frames` is the requested number, and `frame_sha256s` are those taken,
    each like a `prepared_sha256`, at `frame_times_s` from its start; the `prepared_` fields are
    those of the first of them.
    """

    kind: Kind = "image"
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
    duration_s: float | None = None
    max_frames: int | None = None
    frame_sha256s: tuple[str, ...] = ()
    frame_times_s: tuple[float, ...] = ()
    reused: bool = False
    error_class: ImageError | None = None
    message: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage(ImageFacts):
    """One path a user named. `prepared_path` is absolute, and None if there is an error.

    `frame_paths` are a video's frames, in order; an image has none.
    """

    path: Path
    prepared_path: Path | None = None
    frame_paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """Prepare one image, or (with `max_frames`) that many frames of a video.

    `path` and `folder` are hexadecimal: a path is bytes, not text.
    """

    number: int
    path: str
    folder: str
    max_side: int | None
    max_pixels: int
    limit_s: float
    max_frames: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeResult(ImageFacts):
    """Result of the order with the same number.

    `folder_error` is a failure of the folder for prepared images, not of the image.
    `retire` asks to be replaced: after a failed allocation nothing is certain.
    """

    number: int
    folder_error: str | None = None
    retire: bool = False
