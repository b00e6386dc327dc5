"""Images for pages: prepared ones of the table `images`, full size or small.

An image is requested by its row's id and never by a path. Only PNG files are read, as the
preparation writes them; the reply is encoded again from their
pixels.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from datasette.database import Database

THUMBNAIL = 160
MOST_PIXELS = 100_000_000


async def image_png(database: Database, number: int, small: bool) -> bytes | None:
    """An image's PNG; None if it is missing or unreadable."""
    found = await database.execute("SELECT prepared_path FROM images WHERE id = ?", [number])
    row = found.first()
    if row is None or row[0] is None:
        return None
    try:
        path = Path(row[0])
        return await asyncio.to_thread(cached_png, path, path.stat().st_mtime_ns, small)
    except (OSError, ValueError, SyntaxError):
        return None


@lru_cache(maxsize=512)
def cached_png(path: Path, changed: int, small: bool) -> bytes:
    """The file's pixels as a new file. `changed` is when it was last, to be drawn again after."""
    with Image.open(path, formats=["PNG"]) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too large to be shown")
        shown = image.convert("RGB")
    if small:
        shown.thumbnail((THUMBNAIL, THUMBNAIL))
    out = BytesIO()
    shown.save(out, "PNG")
    return out.getvalue()
