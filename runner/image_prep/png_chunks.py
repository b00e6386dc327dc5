"""Finds the damaged or oversized side chunks of a PNG file: texts, profile, EXIF, animation."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

from .open_source import CHUNK
from .side_data import SidePart

DAMAGED = "damaged and left out"
TOO_LARGE = "too large and left out"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_SIDE_BYTES = 16 << 20  # of one chunk, decompressed; profiles of several MB exist
MAX_TEXT_BYTES = 64 << 20  # of all texts; as Pillow allows
NAMES = {
    b"iCCP": "colour profile (iCCP)",
    b"eXIf": "EXIF data (eXIf)",
    b"tRNS": "transparency (tRNS)",
    b"tEXt": "text (tEXt)",
    b"zTXt": "compressed text (zTXt)",
    b"iTXt": "international text (iTXt)",
}
ANIMATION = (b"acTL", b"fcTL", b"fdAT")
LEAST_BYTES = {b"gAMA": 4, b"cHRM": 32, b"pHYs": 9, b"sRGB": 1, b"acTL": 8, b"fcTL": 26, b"fdAT": 4}
TRNS_BYTES = {0: 2, 2: 6, 3: 1}  # by the image's colour type
EXIF_HEADS = (b"II*\0", b"MM\0*", b"Exif")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A side chunk: its place, its first bytes, and why it cannot be used, if so."""

    kind: bytes
    part: SidePart
    head: bytes = b""
    reason: str | None = None


def damaged_chunks(file: IO[bytes]) -> tuple[list[SidePart], list[str]]:
    """Return the side chunks to leave out of a PNG file, and notes about them.

    Both are empty for a sound file and for one that is not a PNG.
    """
    file.seek(0)
    head = file.read(24)
    if head[:8] != SIGNATURE:
        return [], []
    chunks = list(_side_chunks(file))
    animation = [chunk for chunk in chunks if chunk.kind in ANIMATION]
    if not _is_sound(animation, head[16:24]):  # half an animation is an error to Pillow
        others = [chunk for chunk in chunks if chunk.kind not in ANIMATION]
        chunks = [*others, *(replace(chunk, reason=DAMAGED) for chunk in animation)]
    removed = [chunk for chunk in chunks if chunk.reason is not None]
    notes = (f"{chunk.reason}: {chunk.part.name}; the pixels were decoded" for chunk in removed)
    return [chunk.part for chunk in removed], list(dict.fromkeys(notes))[:4]


def _is_sound(animation: Sequence[Chunk], size: bytes) -> bool:
    """Return True if the frames are complete, in sequence and inside the image."""
    if any(chunk.reason is not None for chunk in animation):
        return False
    frames = [chunk for chunk in animation if chunk.kind != b"acTL"]
    width, height = struct.unpack(">II", size)
    for number, chunk in enumerate(frames):
        if int.from_bytes(chunk.head[:4], "big") != number:
            return False
        if chunk.kind == b"fcTL":
            wide, high, left, top = struct.unpack(">IIII", chunk.head[4:20])
            if left + wide > width or top + high > height:
                return False
    return True


def _side_chunks(file: IO[bytes]) -> Iterator[Chunk]:
    """Yield the side chunks in the order of the file."""
    size, place, text_bytes, colour_type = os.fstat(file.fileno()).st_size, 8, 0, -1
    while True:
        file.seek(place)
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        end = place + 12 + length
        if len(head) < 8 or not kind.isalpha() or kind == b"IEND":
            return
        if kind == b"IHDR":
            colour_type = file.read(10)[-1]
        elif kind[0] & 0x20:  # lower case: not needed to decode the pixels
            part = SidePart(_name(kind), place, min(size, end))
            if end > size:
                yield Chunk(kind, part, reason=DAMAGED)
                return
            first = file.read(min(length, 20))
            file.seek(place + 8)
            reason, inflated = _check(file, kind, length, colour_type)
            text_bytes += inflated
            if reason is None and text_bytes > MAX_TEXT_BYTES:
                reason = TOO_LARGE
            yield Chunk(kind, part, first, reason)
        place = end


def _name(kind: bytes) -> str:
    if kind in ANIMATION:
        return "animation"
    return NAMES.get(kind, f"chunk {kind.decode('ascii')}")


def _check(file: IO[bytes], kind: bytes, length: int, colour_type: int) -> tuple[str | None, int]:
    """Return why a chunk cannot be used, if so, and the bytes of its decompressed text."""
    data, checksum, left = b"", zlib.crc32(kind), length
    while left and (piece := file.read(min(left, CHUNK))):
        checksum, left = zlib.crc32(piece, checksum), left - len(piece)
        if len(data) <= MAX_SIDE_BYTES:
            data += piece
    if checksum.to_bytes(4, "big") != file.read(4):
        return DAMAGED, 0
    least = TRNS_BYTES.get(colour_type, 0) if kind == b"tRNS" else LEAST_BYTES.get(kind, 0)
    if length < least or (kind == b"eXIf" and not data.startswith(EXIF_HEADS)):
        return DAMAGED, 0
    if kind == b"tEXt":
        return (TOO_LARGE if length > MAX_SIDE_BYTES else None), length
    packed = _packed(kind, data)
    return (None, 0) if packed is None else _inflate(packed, count=kind != b"iCCP")


def _packed(kind: bytes, data: bytes) -> tuple[bytes, bytes] | None:
    """Return the compression method and the compressed bytes of a chunk; None if it has none."""
    _, _, rest = data.partition(b"\0")
    if kind in (b"zTXt", b"iCCP"):
        return rest[:1], rest[1:]
    if kind == b"iTXt":
        text = rest[2:].split(b"\0", 2)
        if rest[:1] == b"\1":
            return rest[1:2], text[2] if len(text) == 3 else b""
    return None


def _inflate(packed: tuple[bytes, bytes], *, count: bool) -> tuple[str | None, int]:
    """Return why compressed bytes cannot be used, if so, and (with `count`) their true size."""
    method, data = packed
    reader = zlib.decompressobj()
    try:
        found = len(reader.decompress(data, MAX_SIDE_BYTES))
    except zlib.error:
        return DAMAGED, 0
    if method != b"\0":
        return DAMAGED, 0
    if not reader.eof:
        return (TOO_LARGE if reader.unconsumed_tail else DAMAGED), 0
    return None, found if count else 0
