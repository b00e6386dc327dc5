"""Small images to put inside a page, made from the prepared ones.

A prepared image is an upright RGB PNG that a separate process decoded; nothing else is opened.
A missing file, or another format, has no thumbnail; that is not an error.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from .data import Record

# Longest side in pixels by number of images: keeps a page at a few megabytes.
SIDES = ((60, 480), (250, 320), (1000, 192))
LEAST_SIDE = 128
QUALITY = 72
LARGEST_PIXELS = 200_000_000


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image as a `data:` address, and its size in pixels."""

    src: str
    width: int
    height: int


def side(images: int) -> int:
    """The longest side of thumbnails, in pixels, for this number of images."""
    return next((side for most, side in SIDES if images <= most), LEAST_SIDE)


def thumbnail(image: Record, longest: int) -> Thumbnail | None:
    """The thumbnail of an image or of a video's first frame; None if it cannot be made."""
    if not image["prepared_path"]:
        return None
    try:
        with Image.open(Path(image["prepared_path"]), formats=("PNG",)) as opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                return None
            opened.thumbnail((longest, longest))
            small = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    out = BytesIO()
    small.save(out, "WEBP", quality=QUALITY, method=4)
    data = base64.b64encode(out.getvalue()).decode()
    return Thumbnail(f"data:image/webp;base64,{data}", small.width, small.height)
