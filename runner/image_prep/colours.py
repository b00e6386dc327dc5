"""Converts decoded images to RGB: transparency, deep grey levels, colour profiles.

Runs in the decoding subprocess only.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PROFILE_NOTE = "its colour profile is damaged and was left out: its colours were taken as sRGB"


def flatten_alpha(image: Image, name: str | None) -> Image:
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
        return normalize_32bit(image)
    if image.has_transparency_data:
        if image.mode != "RGBA":  # converting would copy
            image = image.convert("RGBA")
        white = module.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def normalize_32bit(image: Image) -> Image:
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


def convert_to_srgb(image: Image, profile: object) -> tuple[Image, str | None]:
    """Return the image as RGB in the sRGB space, and a note if its profile cannot be read."""
    if isinstance(profile, bytes) and profile:
        try:
            turned = _apply_profile(image, profile)
        except Exception:  # the pixels may be intact; viewers ignore a broken profile, too
            return image.convert("RGB"), PROFILE_NOTE
        if turned is not None:
            return turned, None
    return image.convert("RGB"), None


def _apply_profile(image: Image, profile: bytes) -> Image | None:
    """Return the image in sRGB; None if the profile is sRGB or for another colour space."""
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    space = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(source.profile.xcolor_space.strip())
    named = (source.profile.profile_description or "").startswith("sRGB")
    if space != image.mode or named:
        return None
    target = ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
