"""Camera raw files are refused by content, never decoded as their thumbnails."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.image_prep import camera_raw, probe_worker
from runner.image_prep.prepare import prepare_images
from schemas.image import PreparedImage

SHORT, LONG, BYTE = 3, 4, 1
CODES = {BYTE: "B", SHORT: "H", LONG: "I"}
RGB, CFA, LINEAR_RAW = 2, 32803, 34892
Tags = dict[int, tuple[int, tuple[int, ...]]]


def page(width: int, height: int, photometric: int = RGB, **more: Any) -> dict[str, Any]:
    """A page: its tags, its pixels, and its sub-directories."""
    samples = 3 if photometric in (RGB, LINEAR_RAW) else 1
    tags: Tags = {
        254: (LONG, (more.get("reduced", 0),)),
        256: (LONG, (width,)),
        257: (LONG, (height,)),
        258: (SHORT, (8,) * samples),
        259: (SHORT, (1,)),
        262: (SHORT, (photometric,)),
        277: (SHORT, (samples,)),
        278: (LONG, (height,)),
        279: (LONG, (width * height * samples,)),
    }
    tags |= more.get("tags", {})
    pixels = bytes(range(256)) * (width * height * samples // 256 + 1)
    return {"tags": tags, "pixels": pixels[: width * height * samples], "sub": more.get("sub", ())}


def tiff(*pages: dict[str, Any], order: str = "<") -> bytes:
    """A TIFF file with these pages, as a camera or a scanner writes it."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8))

    def add(one: dict[str, Any]) -> tuple[int, int]:
        """Append a page; return the offsets of its directory and of its link to the next."""
        subs = [add(sub)[0] for sub in one["sub"]]
        tags: Tags = dict(one["tags"])
        tags[273] = (LONG, (len(out),))
        out.extend(one["pixels"] + b"\0" * (len(one["pixels"]) % 2))
        if subs:
            tags[330] = (LONG, tuple(subs))
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            data = struct.pack(f"{order}{len(values)}{CODES[kind]}", *values)
            if len(data) > 4:
                where = len(out)
                out.extend(data + b"\0" * (len(data) % 2))
                data = struct.pack(order + "I", where)
            entries += struct.pack(order + "HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
        here = len(out)
        out.extend(struct.pack(order + "H", len(tags)) + entries + b"\0\0\0\0")
        return here, len(out) - 4

    link = 4
    for one in pages:
        here, following = add(one)
        out[link : link + 4] = struct.pack(order + "I", here)
        link = following
    return bytes(out)


SENSOR = page(96, 64, CFA)
DNG_VERSION: Tags = {50706: (BYTE, (1, 4, 0, 0))}
RAW_TIFFS = {
    "dng": tiff(page(20, 12, reduced=1, tags=DNG_VERSION, sub=(SENSOR,))),
    "big-endian dng": tiff(page(20, 12, reduced=1, tags=DNG_VERSION, sub=(SENSOR,)), order=">"),
    "dng without a thumbnail": tiff(page(96, 64, LINEAR_RAW, tags=DNG_VERSION)),
    "nef": tiff(page(20, 12, reduced=1, sub=(page(48, 32, reduced=1), SENSOR)), order=">"),
    "arw": tiff(page(20, 12, reduced=1, sub=(SENSOR,)), page(16, 12, reduced=1)),
    "pef": tiff(SENSOR, page(20, 12, reduced=1)),
    "linear raw in a second page": tiff(page(20, 12, reduced=1), page(96, 64, LINEAR_RAW)),
}
SIGNED = {
    "cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(100),
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom" + bytes(100),
    "crw": b"II\x1a\0\0\0HEAPCCDR" + bytes(100),
    "raf": b"FUJIFILMCCD-RAW 0201FF389501" + bytes(100),
    "orf": b"IIRO\x08\0\0\0" + bytes(100),
    "big-endian orf": b"MMOR\0\0\0\x08" + bytes(100),
    "rw2": b"IIU\0\x18\0\0\0" + bytes(100),
    "x3f": b"FOVb\0\0\x03\0" + bytes(100),
    "mrw": b"\0MRM\0\0\0\x08" + bytes(100),
}


def prepared(folder: Path, name: str, data: bytes) -> PreparedImage:
    path = folder / name
    path.write_bytes(data)
    [image] = prepare_images([path], max_side=None, folder=folder / "prepared")
    return image


@pytest.mark.parametrize("kind", [*RAW_TIFFS, *SIGNED])
@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_raw_files_are_refused_under_any_name(tmp_path: Path, kind: str, suffix: str) -> None:
    data = (RAW_TIFFS | SIGNED)[kind]
    image = prepared(tmp_path, f"a.{suffix}", data)
    assert image.error_class == "bad_image"
    assert image.message is not None
    assert image.message.startswith("is a camera raw file (")
    assert image.message.endswith("export it as JPEG or TIFF")
    probed = probe_worker.probe_header(os.fsencode(tmp_path / f"a.{suffix}"))
    assert probed["message"] == image.message


ORDINARY = {
    "one page": (tiff(page(64, 48)), (64, 48)),
    "big-endian": (tiff(page(64, 48), order=">"), (64, 48)),
    "a reduced first page": (tiff(page(20, 12, reduced=1), page(96, 64)), (20, 12)),
    "a reduced page in a sub-directory": (
        tiff(page(96, 64, sub=(page(48, 32, reduced=1),))),
        (96, 64),
    ),
    "a reduced first page with the image below": (
        tiff(page(20, 12, reduced=1, sub=(page(96, 64),))),
        (20, 12),
    ),
    "three pages": (tiff(page(30, 20), page(40, 30), page(50, 40)), (30, 20)),
    "grey": (tiff(page(64, 48, 1)), (64, 48)),
    "a sub-directory outside the file": (
        tiff(page(64, 48, tags={330: (LONG, (1 << 30, 99_999_999))})),
        (64, 48),
    ),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_tiffs_are_decoded(tmp_path: Path, kind: str) -> None:
    data, size = ORDINARY[kind]
    image = prepared(tmp_path, "a.tif", data)
    assert image.error_class is None, image.message
    assert (image.width, image.height) == size


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
def test_tiffs_of_pillow_are_no_raw_files(options: dict[str, Any]) -> None:
    out = io.BytesIO()
    images = [Image.new("RGB", (8, 8)), Image.new("L", (9, 9))]
    images[0].save(out, "TIFF", save_all=True, append_images=images[1:], **options)
    assert camera_raw.raw_format(out) is None


@pytest.mark.parametrize("kind", RAW_TIFFS)
def test_damaged_directories_end_the_search(kind: str) -> None:
    data = RAW_TIFFS[kind]
    for end in range(0, len(data), 97):
        camera_raw.raw_format(io.BytesIO(data[:end]))  # raises nothing
    loop = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 330, LONG, 1, 8, 8)
    assert camera_raw.raw_format(io.BytesIO(loop)) is None


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_other_formats_are_no_raw_files(fmt: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, fmt)
    assert camera_raw.raw_format(out) is None
