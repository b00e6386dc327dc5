"""Decodes image files into upright RGB pixels: only here does Pillow read untrusted files.

Runs in the decoding subprocess only, and imports Pillow when it is first needed.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from schemas.image import DecodeRequest, ImageFacts

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
    """Return the facts of the header, and the undecoded image. Raises UnusableImageError."""
    from PIL import Image as module

    file.seek(0)
    formats = load_pillow(head := file.read(64))
    module.MAX_IMAGE_PIXELS = order.max_pixels
    image = _open(file, formats, head)
    name, frames, orientation = image.format, _frames(image), None
    if name in ("GIF", "TIFF"):  # counting the frames has changed the position
        image = _open(file, formats, head)
    width, height = image.size
    if name == "TIFF":  # Pillow turns these upright itself, and names the upright size
        orientation = _orientation(image)
        if (orientation or 1) > 4:
            width, height = height, width
    facts = replace(facts, format=name, mode=image.mode, width=width, height=height)
    return replace(facts, orientation=orientation, frames=frames), image


def decode(
    file: IO[bytes], facts: ImageFacts, image: Image, order: DecodeRequest
) -> tuple[int | None, Image]:
    """Decode, rotate, flatten, shrink, convert to sRGB; return the orientation and RGB image.

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
    if facts.format != "TIFF":
        orientation = _orientation(image)
        image = apply_orientation(image, orientation)
    image = _flatten_alpha(image, facts.format)
    # From the source's size, not from the reduced size of a decoded JPEG.
    size = fit_size(size[::-1] if (orientation or 1) > 4 else size, order.max_side)
    if size != image.size:
        image = image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
    image = _srgb(image, profile)
    image.info = {}  # Pillow would write profile and transparency into the PNG
    return orientation, image


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


def _orientation(image: Image) -> int | None:
    try:
        value = image.getexif().get(0x0112)
    except Exception:  # pixels may be intact if metadata is broken
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def apply_orientation(image: Image, orientation: int | None) -> Image:
    """Return an image rotated and flipped according to the EXIF orientation."""
    from PIL.Image import Transpose as T

    turns = [T.FLIP_LEFT_RIGHT, T.ROTATE_180, T.FLIP_TOP_BOTTOM, T.TRANSPOSE, T.ROTATE_270]
    turns += [T.TRANSVERSE, T.ROTATE_90]
    # Before shrinking: the filter is not symmetric to the last bit.
    return image.transpose(turns[(orientation or 1) - 2]) if (orientation or 1) > 1 else image


def fit_size(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """Return a size in pixels whose longest side is at most `longest`; never enlarges."""
    scale = min(1.0, longest / max(size)) if longest else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


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


def _flatten_alpha(image: Image, name: str | None) -> Image:
    """Return the image as L, RGB or CMYK, on a white background if it is transparent."""
    from PIL import Image as module

    if image.mode.startswith("I;16") or (image.mode == "I" and name in ("PNG", "PPM")):
        tags = getattr(image, "tag_v2", {})
        peak = 4095 if tags.get(258) == (12,) else 65535
        levels = [min(255, (v * 255 + peak // 2) // peak) for v in range(65536)]
        if tags.get(262) == 0:
            levels = [255 - level for level in levels]
        if isinstance(clear := image.info.get("transparency"), int) and 0 <= clear < 65536:
            levels[clear] = 255
        return image.convert("I").point(levels, "L")
    if image.mode in ("I", "F"):
        return _normalize_32bit(image)
    if image.has_transparency_data:
        if image.mode != "RGBA":  # converting would copy
            image = image.convert("RGBA")
        white = module.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _normalize_32bit(image: Image) -> Image:
    """Convert 32-bit grey to L. The files do not define white; the likeliest range is used."""
    low, high = image.getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    peaks = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    peak = next((float(p) for p in peaks if low >= 0 and high <= p), None)
    if peak is None:
        scale = 255.0 / (high - low) if high > low else 0.0
        shift = -low * scale
    else:
        scale, shift = 255.0 / peak, 0.0
    return image.convert("F").point(lambda v: v * scale + (shift + 0.5)).convert("L")


def _srgb(image: Image, profile: object) -> Image:
    if isinstance(profile, bytes):
        with suppress(Exception):  # a broken profile is ignored, as viewers do
            from PIL import ImageCms

            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            space = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(
                source.profile.xcolor_space.strip()
            )
            named = (source.profile.profile_description or "").startswith("sRGB")
            if space == image.mode and not named:
                target = ImageCms.createProfile("sRGB")
                turned = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                return turned or image.convert("RGB")
    return image.convert("RGB")


def hash_pixels(image: Image) -> str:
    """Return the sha256 of size and RGB pixels, by rows to avoid a second copy."""
    digest = hashlib.sha256(f"RGB {image.width} {image.height}\n".encode())
    rows = max(1, CHUNK // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(image.height, top + rows)))
        digest.update(part.tobytes())
    return digest.hexdigest()
