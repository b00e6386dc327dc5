"""Finds what an image file holds besides its pixels, and reads the file without some of it.

Pillow refuses a whole file for a damaged comment or profile. The pixels are intact then, so the
damaged parts are left out and named in a note.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import IO

MAX_ATTEMPTS = 12  # each opens the file once more

JPEG_NAMES = {0xE0: "JFIF header", 0xE1: "EXIF or XMP data", 0xEE: "Adobe header", 0xFE: "comment"}
GIF_NAMES = {0xFE: "comment", 0xF9: "graphic control", 0xFF: "application data"}
WEBP_NAMES = {b"ICCP": "colour profile", b"EXIF": "EXIF data", b"XMP ": "XMP data"}
WEBP_PIXELS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
TIFF_NAMES = {270: "description", 305: "software", 700: "XMP data", 33723: "IPTC data"}
TIFF_NAMES |= {34377: "Photoshop data", 34665: "EXIF data", 34675: "colour profile"}
TIFF_NAMES |= {34853: "GPS data"}
# Size, layout, compression and colour; all other tags describe the image only.
# fmt: off
TIFF_PIXEL_TAGS = {
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 284, 292, 293, 317,
    318, 319, 320, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514,
    515, 519, 520, 521, 529, 530, 531, 532,
}
# fmt: on


@dataclass(frozen=True, slots=True)
class SidePart:
    """Bytes from `start` to `end` (not included) that are not pixel data; `name` describes it."""

    name: str
    start: int
    end: int


class SplicedFile(io.RawIOBase):
    """A file without some ranges of bytes, its first bytes replaced by `head`, `tail` added."""

    def __init__(
        self, file: IO[bytes], removed: Collection[SidePart], head: bytes = b"", tail: bytes = b""
    ) -> None:
        self._file, self._head, self._tail, self._place = file, head, tail, 0
        size, at = os.fstat(file.fileno()).st_size, len(head)
        self._kept: list[tuple[int, int]] = []
        for part in sorted(removed, key=lambda part: part.start):
            self._kept.append((at, max(at, part.start)))
            at = max(at, part.end)
        self._kept.append((at, max(at, size)))
        self.size = len(head) + sum(end - start for start, end in self._kept) + len(tail)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError("negative position")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._read_at(self._place, len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _read_at(self, place: int, count: int) -> bytes:
        if place < len(self._head):
            return self._head[place : place + count]
        place -= len(self._head)
        for start, end in self._kept:
            if place < end - start:
                self._file.seek(start + place)
                return self._file.read(min(count, end - start - place))
            place -= end - start
        return self._tail[place : place + count]


def read_without(file: IO[bytes], removed: Collection[SidePart]) -> IO[bytes]:
    """Return the file without these parts, with the sizes in its header corrected."""
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF":
        size = SplicedFile(file, removed).size
        return io.BufferedReader(SplicedFile(file, removed, head[:4] + struct.pack("<I", size - 8)))
    if _tiff_order(head):
        return _tiff_without(file, removed)
    return io.BufferedReader(SplicedFile(file, removed))


def attempts(parts: Collection[SidePart]) -> Iterator[list[SidePart]]:
    """Yield what to leave out of a file that cannot be opened: one kind of part, then all."""
    names = dict.fromkeys(part.name for part in parts)
    if len(names) > 1:
        for name in list(names)[: MAX_ATTEMPTS - 1]:
            yield [part for part in parts if part.name == name]
    if parts:
        yield list(parts)


def removal_note(removed: Collection[SidePart]) -> str:
    """Return the note about parts that were left out because they are damaged."""
    names = list(dict.fromkeys(part.name for part in removed))
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"damaged and left out: {shown}; the pixels were decoded"


def side_parts(file: IO[bytes]) -> list[SidePart]:
    """Return the parts of a JPEG, WebP, GIF or TIFF file that are not pixel data, else nothing.

    A file whose structure is broken gives the parts before the break.
    """
    file.seek(0)
    head = file.read(12)
    readers: tuple[tuple[bool, Callable[[IO[bytes]], Iterator[SidePart]]], ...] = (
        (head[:3] == b"\xff\xd8\xff", _jpeg_parts),
        (head[:4] == b"RIFF" and head[8:] == b"WEBP", _webp_parts),
        (head[:4] == b"GIF8", _gif_parts),
        (bool(_tiff_order(head)), _tiff_parts),
    )
    return next((list(reader(file)) for matches, reader in readers if matches), [])


def _jpeg_parts(file: IO[bytes]) -> Iterator[SidePart]:
    """Yield the segments before the scan that are application data or comments."""
    place = 2
    while True:
        file.seek(place)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            return
        end = place + 2 + max(2, int.from_bytes(head[2:], "big"))
        if 0xE0 <= head[1] <= 0xEF or head[1] == 0xFE:
            name = JPEG_NAMES.get(head[1], f"application data (APP{head[1] - 0xE0})")
            if head[1] == 0xE2:
                file.seek(place + 4)
                name = "colour profile" if file.read(11) == b"ICC_PROFILE" else name
            yield SidePart(name, place, end)
        place = end


def _webp_parts(file: IO[bytes]) -> Iterator[SidePart]:
    """Yield the chunks that are not pixel data; the last one may be cut off."""
    place, size = 12, os.fstat(file.fileno()).st_size
    while place < size:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        end = min(size, place + 8 + length + length % 2)
        if head[:4] not in WEBP_PIXELS:
            yield SidePart(WEBP_NAMES.get(head[:4], "unknown data"), place, end)
        place = end


def _gif_parts(file: IO[bytes]) -> Iterator[SidePart]:
    """Yield the extension blocks before the first frame."""
    file.seek(10)
    flags = file.read(1)[0]
    place = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while True:
        file.seek(place)
        head = file.read(2)
        if len(head) < 2 or head[0] != 0x21:
            return
        while length := int.from_bytes(file.read(1), "big"):
            file.seek(length, os.SEEK_CUR)
        end = file.tell()
        yield SidePart(GIF_NAMES.get(head[1], "unknown data"), place, end)
        place = end


def _tiff_order(head: bytes) -> str:
    """Return the byte order of a classic TIFF for `struct`; empty for any other file."""
    return {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4], "")


def _tiff_entries(file: IO[bytes]) -> tuple[int, str, list[bytes], bytes]:
    """Return the place of the first directory, the byte order, its entries and its end."""
    file.seek(0)
    head = file.read(8)
    order = _tiff_order(head)
    (place,) = struct.unpack(order + "I", head[4:])
    file.seek(place)
    (count,) = struct.unpack(order + "H", file.read(2))
    entries = [file.read(12) for _ in range(count)]
    return place, order, entries, file.read(4)


def _tiff_parts(file: IO[bytes]) -> Iterator[SidePart]:
    """Yield the entries of the first directory that only describe the image."""
    try:
        place, order, entries, _ = _tiff_entries(file)
        for number, entry in enumerate(entries):
            (tag,) = struct.unpack(order + "H", entry[:2])
            if tag not in TIFF_PIXEL_TAGS:
                start = place + 2 + 12 * number
                yield SidePart(TIFF_NAMES.get(tag, f"tag {tag}"), start, start + 12)
    except struct.error:
        return


def _tiff_without(file: IO[bytes], removed: Collection[SidePart]) -> IO[bytes]:
    """Return the file with a shorter first directory at its end, so that nothing else moves."""
    place, order, entries, last = _tiff_entries(file)
    gone = {(part.start - place - 2) // 12 for part in removed}
    kept = [entry for number, entry in enumerate(entries) if number not in gone]
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    head = file.read(4) + struct.pack(order + "I", size + size % 2)
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + last
    return io.BufferedReader(SplicedFile(file, (), head, bytes(size % 2) + directory))
