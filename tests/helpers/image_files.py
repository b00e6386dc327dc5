"""Makes the odd image files of the tests. Everything is drawn here; nothing is downloaded."""

from __future__ import annotations

import random
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

# Transformation of an upright image stored with EXIF orientation n (index n - 1).
STORED = [
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
]


def drawing(width: int = 64, height: int = 48) -> Image.Image:
    """An image without any symmetry, in large areas so that lossy formats keep it."""
    image = Image.new("RGB", (width, height), (200, 30, 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2, height // 2), fill=(20, 160, 60))
    draw.rectangle((0, height * 3 // 4, width // 4, height), fill=(250, 250, 10))
    return image


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    """An image that hardly compresses."""
    pixels = random.Random(seed).randbytes(width * height * 3)
    return Image.frombytes("RGB", (width, height), pixels)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(image: Image.Image, orientation: int, path: Path) -> Path:
    """Store an image so that EXIF must turn it upright."""
    turn = STORED[orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (image.transpose(turn) if turn is not None else image).save(path, exif=exif)
    return path


def png_bomb(width: int, height: int) -> bytes:
    """A tiny PNG that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def mutants(count: int, seed: int = 2) -> list[tuple[str, bytes]]:
    """Broken files, by suffix: bytes changed, cut, doubled or inserted, in headers and bodies."""
    dice = random.Random(seed)
    small = noise(40, 30)
    frames = [drawing(), drawing(64, 48).rotate(180)]
    sound = {
        "jpg": encoded(small, "JPEG", quality=70),
        "png": encoded(small.quantize(16), "PNG"),
        "webp": encoded(small, "WEBP", quality=60),
        "gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    }
    return [
        (suffix, _mutated(sound[suffix], dice))
        for suffix in (dice.choice(list(sound)) for _ in range(count))
    ]


def _mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        # Half of the changes hit the header, where they hurt most.
        place = dice.randrange(min(len(changed), 64) if dice.random() < 0.5 else len(changed))
        match dice.randrange(5):
            case 0 | 1:
                changed[place] = dice.choice((0, 0x7F, 0x80, 0xFF, dice.randrange(256)))
            case 2:
                changed[place : place + 4] = dice.randbytes(4)
            case 3:
                changed[place:place] = changed[place : place + dice.randrange(1, 64)]
            case _:
                del changed[place : place + dice.randrange(1, 16)]
        changed = changed or bytearray(b"\0")
    return bytes(changed[: dice.randrange(1, len(changed) + 1)] if dice.random() < 0.2 else changed)
