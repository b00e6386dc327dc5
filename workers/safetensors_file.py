"""Is a safetensors file whole? Read from its header alone, without the safetensors package.

The format: 8 bytes of header length (little endian), a JSON header giving each tensor's
[begin, end) within the data, then the data, up to the end of the file. The tensors lie one
behind the other, without holes; MLX does not check that, and would take wrong weights.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST_HEADER = 100_000_000  # the format's own limit, in bytes
BITS = {
    8: "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ",
    16: "I16 U16 F16 BF16",
    32: "I32 U32 F32",
    64: "I64 U64 F64 C64",
}
WIDTHS = {name: bits for bits, names in BITS.items() for name in names.split()}


@dataclass(frozen=True, slots=True)
class Header:
    """A file's header: its `__metadata__` (may be empty) and its bytes by type of number."""

    metadata: dict[str, str]
    types: dict[str, int]


def read_header(path: Path) -> Header:
    """The header, with the tensors summed up.

    Raises ValueError if header and file do not match.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ValueError(f"only {size} bytes, too short for a header")
        (length,) = struct.unpack("<Q", start)
        if length > min(LARGEST_HEADER, size - 8):
            raise ValueError(f"the header says it has {length} bytes, the file has {size}")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    try:
        data = _check_places(header)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"the header has a tensor without sense: {error}") from error
    if 8 + length + data != size:
        raise ValueError(f"{size} bytes, but its header speaks of {8 + length + data}")
    return Header(
        {str(key): str(value) for key, value in dict(metadata or {}).items()}, _by_type(header)
    )


def _by_type(header: dict[str, Any]) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for tensor in header.values():
        begin, end = map(int, tensor["data_offsets"])
        sizes[str(tensor["dtype"])] += end - begin
    return dict(sizes)


def _check_places(header: dict[str, Any]) -> int:
    """The bytes of all tensors, once each has as many as it needs and they fit together."""
    places = []
    for name, tensor in header.items():
        begin, end = map(int, tensor["data_offsets"])
        bits = WIDTHS.get(tensor["dtype"])  # other types are left to the libraries
        if bits and math.prod(map(int, tensor["shape"])) * bits != (end - begin) * 8:
            raise ValueError(f"{name} has {end - begin} bytes, which do not fit its shape")
        places.append((begin, end, name))
    reached = 0
    for begin, end, name in sorted(places):
        if begin != reached or end < begin:
            raise ValueError(f"{name} is at {begin} to {end}, but {reached} bytes precede it")
        reached = end
    return reached
