"""Images with damaged metadata: the pixels are decoded, and a note names the omitted parts."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from runner.image_prep import png_chunks
from runner.image_prep.decode_worker import serve
from runner.image_prep.pixels import fit_size
from runner.preflight.images import probe_images
from schemas.image import DecodeRequest, DecodeResult
from tests.helpers import image_files as make

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = Image.Exif()
EXIF[0x0112] = 1
EXIF[0x010E] = "description " * 9
EXIF.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
PICTURE = make.drawing(64, 48)
LARGE = zlib.compress(b"y" * 2_000_000)


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(folder: Path, data: bytes) -> DecodeResult:
    path = folder / "source.bin"
    path.write_bytes(data)
    where = str(folder / "prepared").encode().hex()
    name = str(path).encode().hex()
    return serve(
        DecodeRequest(
            number=0, path=name, folder=where, max_side=None, max_pixels=10**8, limit_s=30
        )
    )


def png_chunk(kind: str, data: bytes, *, sound: bool = True) -> bytes:
    name = kind.encode()
    checksum = zlib.crc32(name + data) ^ (not sound)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def webp_with(name: bytes, data: bytes, size: int | None = None) -> bytes:
    """A WebP whose chunk `name` has this content, and says that it has `size` bytes."""
    whole = encoded("WEBP", lossless=True, exif=EXIF.tobytes(), icc_profile=ICC)
    place, chunks = 12, b""
    while place < len(whole):
        kind, (length,) = (
            whole[place : place + 4],
            struct.unpack("<I", whole[place + 4 : place + 8]),
        )
        old = whole[place + 8 : place + 8 + length]
        new = data if kind == name else old
        claimed = size if kind == name and size is not None else len(new)
        chunks += kind + struct.pack("<I", claimed) + new + bytes(len(new) % 2)
        place += 8 + length + length % 2
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def tiff_with(tag: int, **changed: int) -> bytes:
    """A TIFF whose entry for `tag` has another type, count or value."""
    data = bytearray(encoded("TIFF", exif=EXIF.tobytes(), icc_profile=ICC, software="a program"))
    (place,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[place : place + 2])
    for at in range(place + 2, place + 2 + 12 * count, 12):
        if struct.unpack("<H", data[at : at + 2]) == (tag,):
            for field, (offset, code) in {
                "kind": (2, "<H"),
                "count": (4, "<I"),
                "value": (8, "<I"),
            }.items():
                if field in changed:
                    struct.pack_into(code, data, at + offset, changed[field])
            return bytes(data)
    raise AssertionError(f"no tag {tag}")


PNG = encoded("PNG")
JPEG = encoded("JPEG")
GIF = encoded("GIF")
GIF_PALETTE_END = 13 + (3 << ((GIF[10] & 7) + 1))
# Chunks that make Pillow refuse the file, or that it drops without a word; and the note.
PNG_CASES = {
    "large text is no damage": (png_chunk("zTXt", b"k\0\0" + LARGE), None),
    "large profile": (png_chunk("iCCP", b"k\0\0" + LARGE), "its colour profile is damaged"),
    "text of 20 MB": (
        png_chunk("iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(20_000_000))),
        "too large and left out: international text (iTXt)",
    ),
    "many texts": (
        png_chunk("zTXt", b"k\0\0" + zlib.compress(b"y" * 900_000)) * 80,
        "too large and left out: compressed text (zTXt)",
    ),
    "cut text": (
        png_chunk("zTXt", b"k\0\0" + LARGE[:300]),
        "damaged and left out: compressed text",
    ),
    "cut profile": (
        png_chunk("iCCP", b"k\0\0" + zlib.compress(ICC)[:99]),
        "damaged and left out: colour profile (iCCP)",
    ),
    "empty profile": (png_chunk("iCCP", b""), "damaged and left out: colour profile (iCCP)"),
    "unknown compression": (png_chunk("zTXt", b"k\0\5abc"), "left out: compressed text (zTXt)"),
    "exif of two bytes": (png_chunk("eXIf", b"ab"), "damaged and left out: EXIF data (eXIf)"),
    "short transparency": (png_chunk("tRNS", b"\1"), "left out: transparency (tRNS)"),
    "short gamma": (png_chunk("gAMA", b"\1"), "damaged and left out: chunk gAMA"),
    "broken animation": (png_chunk("acTL", b"\1"), "damaged and left out: animation"),
    **{
        f"checksum of {kind}": (png_chunk(kind, b"k\0ab", sound=False), f"({kind})")
        for kind in ("zTXt", "iTXt", "tEXt", "iCCP", "eXIf")
    },
}


@pytest.mark.parametrize("after", [False, True], ids=["before the pixels", "after the pixels"])
@pytest.mark.parametrize(("chunk", "note"), PNG_CASES.values(), ids=PNG_CASES)
def test_a_png_is_decoded_without_its_damaged_chunks(
    tmp_path: Path, chunk: bytes, note: str | None, after: bool
) -> None:
    place = len(PNG) - 12 if after else 33
    found = decoded(tmp_path, PNG[:place] + chunk + PNG[place:])
    assert found.error_class is None, found.message
    assert found.prepared_sha256 == decoded(tmp_path, PNG).prepared_sha256
    if note is None or (after and note.startswith("its")):  # Pillow does not use it there
        assert found.notes == ()
    else:
        assert len(found.notes) == 1
        assert note in found.notes[0]


OTHER_CASES = {
    "JPEG, EXIF": (JPEG[:2] + segment(0xE1, EXIF.tobytes()[:40]) + JPEG[2:], JPEG, "metadata"),
    "JPEG, profile of no bytes": (
        JPEG[:2] + segment(0xE2, b"ICC_PROFILE\0") + JPEG[2:],
        JPEG,
        "damaged and left out: colour profile",
    ),
    "JPEG, profile": (
        JPEG[:2] + segment(0xE2, b"ICC_PROFILE\0\1\1junk") + JPEG[2:],
        JPEG,
        "its colour profile is damaged",
    ),
    "JPEG, MPF": (JPEG[:2] + segment(0xE2, b"MPF\0II*\0") + JPEG[2:], JPEG, "malformed MPO"),
    "JPEG, Adobe": (JPEG[:2] + segment(0xEE, b"Adobe") + JPEG[2:], JPEG, "left out: Adobe header"),
    "WebP, EXIF": (webp_with(b"EXIF", b"junk"), PNG, "its EXIF data is damaged"),
    "WebP, EXIF cut off": (webp_with(b"EXIF", b"II*\0", 60_000), PNG, "left out: EXIF data"),
    "WebP, profile": (webp_with(b"ICCP", b"junk"), PNG, "its colour profile is damaged"),
    "GIF, control": (
        GIF[:GIF_PALETTE_END] + b"\x21\xf9\x02ab\0" + GIF[GIF_PALETTE_END:],
        GIF,
        "damaged and left out: graphic control",
    ),
    "TIFF, description": (tiff_with(270, value=2**31), PNG, "left out: description"),
    "TIFF, EXIF of another type": (tiff_with(34665, kind=16), PNG, "left out: EXIF data"),
    "TIFF, profile": (tiff_with(34675, count=2**31), PNG, "Pillow warns about its metadata"),
}


@pytest.mark.parametrize(("data", "sound", "note"), OTHER_CASES.values(), ids=OTHER_CASES)
def test_other_formats_are_decoded_without_damaged_metadata(
    tmp_path: Path, data: bytes, sound: bytes, note: str
) -> None:
    found = decoded(tmp_path, data)
    assert found.error_class is None, found.message
    assert found.prepared_sha256 == decoded(tmp_path, sound).prepared_sha256
    assert any(note in text for text in found.notes), found.notes


def test_a_broken_png_stays_broken(tmp_path: Path) -> None:
    """A damaged chunk of pixels is not a side chunk."""
    damaged = bytearray(PNG)
    damaged[PNG.index(b"IDAT") + 20] ^= 0xFF
    assert decoded(tmp_path, bytes(damaged)).error_class == "bad_image"
    cut = decoded(tmp_path, PNG[: len(PNG) // 2])
    assert cut.error_class == "bad_image"
    assert cut.notes == ()


def test_a_sound_orientation_survives_a_damaged_profile(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    data = encoded("PNG", exif=turned.tobytes())
    found = decoded(tmp_path, data[:33] + png_chunk("iCCP", b"\0") + data[33:])
    assert (found.orientation, found.prepared_width, found.prepared_height) == (6, 48, 64)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "tEXt", "iCCP", "eXIf", "tRNS", "acTL", "fcTL"])
def test_no_content_of_a_side_chunk_costs_the_pixels(tmp_path: Path, kind: str) -> None:
    dice = random.Random(kind)
    for _ in range(40):
        content = dice.choice([b"", b"k\0\0", b"k\0\1\0\0\0", b"MM\0*"]) + dice.randbytes(
            dice.randrange(30)
        )
        chunk = png_chunk(kind, content, sound=dice.random() < 0.8)
        found = decoded(tmp_path, PNG[:33] + chunk + PNG[33:])
        assert found.error_class is None, (content, found.message)


def test_the_note_is_cached_and_told_before_the_run(tmp_path: Path) -> None:
    data = PNG[:33] + png_chunk("zTXt", b"k\0ab", sound=False) + PNG[33:]
    first, again = decoded(tmp_path, data), decoded(tmp_path, data)
    assert not first.reused
    assert again.reused
    assert first.notes == again.notes
    assert first.notes
    assert probe_images([tmp_path / "source.bin"], 60)[0]["notes"] == list(first.notes)


def test_a_sound_file_is_not_copied_or_noted(tmp_path: Path) -> None:
    data = encoded("PNG", exif=EXIF.tobytes(), icc_profile=ICC)
    (tmp_path / "sound.png").write_bytes(data)
    with (tmp_path / "sound.png").open("rb") as file:
        assert png_chunks.damaged_chunks(file) == ([], [])
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        found = decoded(tmp_path, encoded(kind, exif=EXIF.tobytes(), icc_profile=ICC))
        assert (found.error_class, found.notes) == (None, ())


@pytest.mark.parametrize(
    "size", [(19_900, 100), (100, 19_900), (1990, 10), (2000, 10), (1999, 10), (9950, 50)]
)
@pytest.mark.parametrize("side", [1024, 1000, 448, 7])
def test_shrinking_does_not_raise_an_extreme_aspect_ratio(size: tuple[int, int], side: int) -> None:
    width, height = fit_size(size, side)
    assert max(width, height) == side
    assert max(width, height) * min(size) <= max(size) * min(width, height)
    assert (width > height) == (size[0] > size[1])


def test_ordinary_ratios_are_rounded() -> None:
    assert fit_size((1920, 1080), 1000) == (1000, 562)
    assert fit_size((640, 480), 1024) == (640, 480)
    assert fit_size((640, 480), None) == (640, 480)
