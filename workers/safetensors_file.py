"""Is a safetensors file whole? Read from its header alone, without the safetensors package.

The format: 8 bytes of header length (little endian), a JSON header giving each tensor's
[begin, end) within the data, then the data, up to the end of the file.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

LARGEST_HEADER = 100_000_000  # the format's own limit, in bytes


def read_metadata(path: Path) -> dict[str, str]:
    """The header's `__metadata__`, perhaps empty.

    Raises ValueError, saying what is wrong, where header and file do not fit each other.
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
        data = max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
    except (TypeError, KeyError, IndexError) as error:
        raise ValueError("the header has tensors without offsets") from error
    if 8 + length + data != size:
        raise ValueError(f"{size} bytes, but its header speaks of {8 + length + data}")
    return {str(key): str(value) for key, value in dict(metadata or {}).items()}
