"""Recognizes camera raw files by their content.

Pillow opens many of them as TIFF and decodes the thumbnail, which may be 20 x 12 pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

# Signature, its offset, and the format.
SIGNATURES = (
    (b"CR\x02", 8, "Canon CR2"),
    (b"ftypcrx ", 4, "Canon CR3"),
    (b"HEAPCCDR", 6, "Canon CRW"),
    (b"FUJIFILMCCD-RAW", 0, "Fujifilm RAF"),
    (b"IIRO", 0, "Olympus ORF"),
    (b"IIRS", 0, "Olympus ORF"),
    (b"MMOR", 0, "Olympus ORF"),
    (b"IIU\0", 0, "Panasonic RW2"),
    (b"FOVb", 0, "Sigma X3F"),
    (b"\0MRM", 0, "Minolta MRW"),
)
PHOTOMETRIC, SUB_IFDS, DNG_VERSION = 262, 330, 50706
SENSOR = {32803, 34892}  # a colour filter array, and linear raw
TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # the integer types of TIFF
MAX_DIRECTORIES, MAX_ENTRIES, MAX_VALUES = 64, 1024, 16

Directory = dict[int, tuple[int, ...]]


def raw_format(file: IO[bytes]) -> str | None:
    """Return the name of a camera raw file's format, or None for any other file."""
    file.seek(0)
    head = file.read(32)
    for magic, offset, name in SIGNATURES:
        if head[offset:].startswith(magic):
            return name
    for number, tags in enumerate(directories(file, head)):
        if number == 0 and DNG_VERSION in tags:
            return "DNG"
        if SENSOR & set(tags.get(PHOTOMETRIC, ())):
            return "TIFF with sensor data, as NEF and ARW"
    return None


def directories(file: IO[bytes], head: bytes) -> Iterator[Directory]:
    """Yield the directories of a TIFF, those below one after it; damaged ones are left out."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 16 else 0
    if version == 42:
        pending = [struct.unpack(f"{order}I", head[4:8])[0]]
    elif version == 43:
        pending = [struct.unpack(f"{order}Q", head[8:16])[0]]
    else:
        return
    seen: set[int] = set()
    while pending and len(seen) < MAX_DIRECTORIES:
        offset = pending.pop(0)
        if not offset or offset in seen:
            continue
        seen.add(offset)
        try:
            tags, following = read_directory(file, offset, f"{order}", version == 43)
        except (struct.error, OSError, OverflowError):
            continue  # damaged, or of another kind: the decoder reports it
        yield tags
        pending = [*tags.get(SUB_IFDS, ()), following, *pending]


def read_directory(file: IO[bytes], offset: int, order: str, big: bool) -> tuple[Directory, int]:
    """Return the integer tags of a directory that are used here, and the next one's offset.

    Raises struct.error if the file ends within it, and OSError.
    """
    word, size = ("Q", 8) if big else ("I", 4)
    file.seek(offset)
    (count,) = _unpack(file, order + ("Q" if big else "H"))
    tags: Directory = {}
    start = file.tell()
    for index in range(min(count, MAX_ENTRIES)):
        file.seek(start + index * (4 + 2 * size))
        tag, kind, values = _unpack(file, f"{order}HH{word}")
        code = TYPES.get(kind)
        if tag not in (PHOTOMETRIC, SUB_IFDS, DNG_VERSION) or code is None:
            continue
        values = min(values, MAX_VALUES)
        if struct.calcsize(f"={values}{code}") > size:
            file.seek(_unpack(file, order + word)[0])
        tags[tag] = _unpack(file, f"{order}{values}{code}")
    file.seek(start + count * (4 + 2 * size))
    try:
        (following,) = _unpack(file, order + word)
    except struct.error:
        following = 0
    return tags, following


def _unpack(file: IO[bytes], layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
