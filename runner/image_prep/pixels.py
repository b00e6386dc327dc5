"""Decodes image files into upright RGB pixels: only here does Pillow read untrusted files.

Runs in the decoding subprocess only, and imports Pillow when it is first needed.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from schemas.image import DecodeRequest, ImageFacts

from . import camera_raw, colours, png_chunks, side_data
from .open_source import CHUNK, UnusableImageError

if TYPE_CHECKING:
    from PIL.Image import Image

# Few formats, so that few parsers read untrusted bytes (Pillow's EPS reader would even start gs).
# fmt: off
PLUGINS = (
    "Jpeg", "Mpo", "Png", "WebP", "Gif", "Bmp", "Tiff", "Avif", "Ico", "Ppm", "Jpeg2K", "Qoi",
)
FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "ICO", "PPM",
    "JPEG2000", "QOI",
)
# fmt: on
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
MAX_NOTES = 4
THIN_RATIO = 100  # long side to short side
EXIF_NOTE = "its EXIF data is damaged: it was not rotated"
# Files given by mistake, recognized by their first bytes.
WRONG_KINDS = (
    (b"%PDF", "a PDF: export its pages as PNG"),
    (b"8BPS", "a Photoshop file: export it as PNG"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the real file with `git lfs pull`"),
    (b"\xff\x0a", "JPEG XL, which is not supported: convert it to PNG"),
    (b"\0\0\0\x0cJXL ", "JPEG XL, which is not supported: convert it to PNG"),
    (b"PK", "a zip archive: unpack it first"),
    (b"<", "text such as HTML or SVG, not pixels: fetch the image itself or export it as PNG"),
)


def load_pillow(head: bytes) -> list[str]:
    """Load Pillow and the plugins that a file with this head needs; return the formats to try.

    Raises UnusableImageError, with `missing_package` if the decoder is not installed.
    """
    try:
        from PIL import Image as module
    except ModuleNotFoundError:
        raise UnusableImageError("missing_package", "needs Pillow: pip install pillow") from None
    for name in PLUGINS:
        with suppress(ImportError):
            import_module(f"PIL.{name}ImagePlugin")
    png: Any = sys.modules.get("PIL.PngImagePlugin")
    if png is not None:
        png.MAX_TEXT_CHUNK = png_chunks.MAX_SIDE_BYTES  # larger ones were left out before
    brands = {head[i : i + 4] for i in range(8, 64, 4)} if head[4:8] == b"ftyp" else set()
    avif: Any = sys.modules.get("PIL.AvifImagePlugin")
    if brands & {b"avif", b"avis"}:
        if avif is None or not avif.SUPPORTED:
            hint = "is AVIF, which this Pillow can't read: pip install --upgrade pillow"
            raise UnusableImageError("missing_package", hint)
        avif.DEFAULT_MAX_THREADS = 1  # each thread would take address space from the limit
    elif brands & HEIF_BRANDS:
        try:
            import pillow_heif
        except ModuleNotFoundError:
            hint = "is HEIC, which needs pillow-heif: pip install 'vlmsweep[heif]'"
            raise UnusableImageError("missing_package", hint) from None
        pillow_heif.register_heif_opener()
        pillow_heif.options.DECODE_THREADS = 1
    elif brands:
        text = "is a film, not an image: extract a frame as PNG, or name it .mp4 or .mov"
        raise UnusableImageError("bad_image", text)
    return [name for name in FORMATS if name in module.OPEN]


def read_header(
    file: IO[bytes], facts: ImageFacts, order: DecodeRequest
) -> tuple[ImageFacts, Image]:
    """Return the facts of the header, and the undecoded image. Raises UnusableImageError.

    Damaged metadata is left out; `notes` of the facts name it.
    """
    from PIL import Image as module

    if raw := camera_raw.raw_format(file):
        text = f"is a camera raw file ({raw}), not an image: export it as JPEG or TIFF"
        raise UnusableImageError("bad_image", text)
    file.seek(0)
    formats = load_pillow(head := file.read(64))
    module.MAX_IMAGE_PIXELS = order.max_pixels
    image, readable, notes = _open_without_damage(file, formats, head)
    name, frames, orientation = image.format, _frames(image), None
    if name in ("GIF", "TIFF"):  # counting the frames has changed the position
        image = _open(readable, formats, head)
    width, height = image.size
    if name == "TIFF":  # Pillow turns these upright itself, and names the upright size
        orientation, note = _orientation(image)
        notes += [note] if note else []
        if (orientation or 1) > 4:
            width, height = height, width
    facts = replace(facts, format=name, mode=image.mode, width=width, height=height)
    return replace(facts, orientation=orientation, frames=frames, notes=tuple(notes)), image


def decode(
    file: IO[bytes], facts: ImageFacts, image: Image, order: DecodeRequest
) -> tuple[ImageFacts, Image]:
    """Decode, rotate, flatten, shrink, convert to sRGB; return the facts and the RGB image.

    Raises UnusableImageError, and any error of Pillow for a broken file.
    """
    from PIL.Image import Resampling

    size, orientation = (facts.width or 0, facts.height or 0), facts.orientation
    if size[0] * size[1] > order.max_pixels:
        text = f"has {size[0]}×{size[1]} pixels, over the limit of {order.max_pixels:,}: shrink it"
        raise UnusableImageError("bad_image", text)
    if order.max_side:
        least = fit_size(size, order.max_side)
        image.draft(None, (3 * least[0], 3 * least[1]))  # big JPEGs are decoded smaller
    profile = image.info.get("icc_profile")
    image.load()
    if _zero_filled(file, facts.format):
        raise UnusableImageError("bad_image", "ends in zeros, a part is missing: fetch it again")
    found: list[str | None] = []
    if facts.format != "TIFF":
        orientation, note = _orientation(image)
        found.append(note)
        image = apply_orientation(image, orientation)
    image = colours.flatten_alpha(image, facts.format)
    # From the source's size, not from the reduced size of a decoded JPEG.
    size = fit_size(size[::-1] if (orientation or 1) > 4 else size, order.max_side)
    if size != image.size:
        image = image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
    image, note = colours.convert_to_srgb(image, profile)
    image.info = {}  # Pillow would write profile and transparency into the PNG
    notes = (*facts.notes, *(text for text in (*found, note) if text))
    return replace(facts, orientation=orientation, notes=notes[:MAX_NOTES]), image


def _open_without_damage(
    file: IO[bytes], formats: list[str], head: bytes
) -> tuple[Image, IO[bytes], list[str]]:
    """Open an image; metadata for which Pillow refuses it is left out.

    Return also the file that was read, and notes.
    """
    damaged, notes = png_chunks.damaged_chunks(file)
    readable = side_data.read_without(file, damaged) if damaged else file
    try:
        image, warned = _open_noting(readable, formats, head)
        return image, readable, notes + warned
    except MemoryError:
        raise
    except Exception:
        best: tuple[Image, IO[bytes], list[str]] | None = None
        for parts in side_data.attempts(side_data.side_parts(file)):
            with suppress(Exception):
                readable = side_data.read_without(file, parts)
                image, warned = _open_noting(readable, formats, head)
                notes = [side_data.removal_note(parts), *warned]
                if best is None or len(notes) < len(best[2]):
                    best = image, readable, notes
                if not warned:  # exactly what was damaged is gone
                    break
        if best is None:
            raise
        return best


def _open_noting(file: IO[bytes], formats: list[str], head: bytes) -> tuple[Image, list[str]]:
    """Open an image, and read the EXIF data that decoding needs; return Pillow's warnings too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = _open(file, formats, head)
        if image.format == "TIFF":
            image.getexif().get_ifd(0x8769)
    texts = dict.fromkeys(" ".join(str(w.message).split()) for w in caught)
    return image, [f"Pillow warns about its metadata: {text}" for text in texts][:2]


def _open(file: IO[bytes], formats: list[str], head: bytes) -> Image:
    from PIL import Image as module
    from PIL import UnidentifiedImageError

    file.seek(0)
    try:
        return module.open(file, formats=formats)
    except module.DecompressionBombError:
        text = f"has over {2 * (module.MAX_IMAGE_PIXELS or 0):,} pixels: shrink it"
        raise UnusableImageError("bad_image", text) from None
    except UnidentifiedImageError:
        text = wrong_kind_reason(head) or "not an image in a known format, or its start is broken"
        raise UnusableImageError("bad_image", f"is {text}") from None


def wrong_kind_reason(head: bytes) -> str | None:
    """Return the kind of a file that is not an image, if it is recognized."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return next((text for magic, text in WRONG_KINDS if start.startswith(magic)), None)


def _frames(image: Image) -> int | None:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a later frame may be broken; the first is the one that counts
        return None


def _orientation(image: Image) -> tuple[int | None, str | None]:
    """Return the EXIF orientation, and a note if the EXIF data hides it by being damaged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = image.getexif().get(0x0112)
        except Exception:  # pixels may be intact if metadata is broken
            return None, EXIF_NOTE
    known = value if isinstance(value, int) and 1 <= value <= 8 else None
    return known, EXIF_NOTE if caught and known is None else None


def apply_orientation(image: Image, orientation: int | None) -> Image:
    """Return an image rotated and flipped according to the EXIF orientation."""
    from PIL.Image import Transpose as T

    turns = [T.FLIP_LEFT_RIGHT, T.ROTATE_180, T.FLIP_TOP_BOTTOM, T.TRANSPOSE, T.ROTATE_270]
    turns += [T.TRANSVERSE, T.ROTATE_90]
    # Before shrinking: the filter is not symmetric to the last bit.
    return image.transpose(turns[(orientation or 1) - 2]) if (orientation or 1) > 1 else image


def fit_size(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """Return a size in pixels whose longest side is at most `longest`; never enlarges.

    The short side of a very long image is rounded up: models refuse an aspect ratio above a
    limit, and shrinking must not raise the ratio over it.
    """
    long, short = max(size), min(size)
    if longest is None or long <= longest:
        return size
    if long >= THIN_RATIO * short:
        short = -(-short * longest // long)
    else:
        short = max(1, round(short * (longest / long)))
    return (longest, short) if size[0] >= size[1] else (short, longest)


def _zero_filled(file: IO[bytes], name: str | None) -> bool:
    """Return True if a JPEG is cut off and padded with zeros, which libjpeg decodes as grey."""
    if name not in ("JPEG", "MPO"):
        return False
    file.seek(max(0, os.fstat(file.fileno()).st_size - 512))
    if file.read().strip(b"\0"):
        return False
    place, head = 2, b"\xff\0"
    while head[:1] == b"\xff" and head[1:2] != b"\xda":  # walk the segments up to the scan
        file.seek(place)
        head = file.read(4)
        place += 2 + int.from_bytes(head[2:], "big")
    last = b""
    while chunk := file.read(CHUNK):
        if b"\xff\xd9" in last + chunk:
            return False
        last = chunk[-1:]
    return True


def hash_pixels(image: Image) -> str:
    """Return the sha256 of size and RGB pixels, by rows to avoid a second copy."""
    digest = hashlib.sha256(f"RGB {image.width} {image.height}\n".encode())
    rows = max(1, CHUNK // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(image.height, top + rows)))
        digest.update(part.tobytes())
    return digest.hexdigest()
