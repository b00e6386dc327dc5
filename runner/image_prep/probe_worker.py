"""`python -m runner.image_prep.probe_worker`: reads the headers of images.

Reads one path per line, in hexadecimal, from standard input, and writes one JSON object per line:
width, height and notes, or the error. Like `runner.image_prep.decode_worker` it is a separate
process because files are untrusted; the parent enforces the time limit.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from schemas.image import VIDEO_SUFFIXES, DecodeRequest, ImageFacts

from . import pixels
from .decode_worker import _limit
from .open_source import UnusableImageError, open_source

MEMORY_BYTES = 2 << 30
ORDER = DecodeRequest(
    number=0, path="", folder="", max_side=None, max_pixels=200_000_000, limit_s=30
)


def probe_header(path: bytes) -> dict[str, Any]:
    """Return the size in pixels or the error of one file. Never raises for a bad file."""
    try:
        with open_source(path) as file:
            if Path(os.fsdecode(path)).suffix.lower() in VIDEO_SUFFIXES:
                if find_spec("av") is None:
                    text = "is a video, which needs PyAV: pip install 'vlmsweep[video]'"
                    raise UnusableImageError("missing_package", text)
                return {}
            facts, _ = pixels.read_header(file, ImageFacts(), ORDER)
            return {"width": facts.width, "height": facts.height, "notes": facts.notes}
    except UnusableImageError as error:
        return {"error_class": error.error_class, "message": str(error)}
    except Exception as error:
        text = f"is broken or cut off ({type(error).__name__}: {error}): fetch or export it again"
        return {"error_class": "bad_image", "message": text[:500]}


def main() -> None:
    """Serve requests until the end of file."""
    _limit(MEMORY_BYTES)
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    for line in sys.stdin.buffer:
        print(json.dumps(probe_header(bytes.fromhex(line.decode()))), file=answers, flush=True)


if __name__ == "__main__":
    main()
