"""Checks image formats, the terminal and the machine."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from typing import TextIO

from .. import __version__
from ..system import host
from .check import Check, state_of
from .models import version


def environment_checks(screen: TextIO) -> Iterator[Check]:
    """Yield checks of images, videos, the terminal and the machine."""
    yield from images()
    yield terminal(screen)
    detail = f"vlmsweep {__version__}, Python {platform.python_version()}, {platform.system()}"
    detail += f" {platform.release()}, {platform.machine()}, {host.cores()} cores"
    yield Check("environment", "machine", "ok", detail)


def images() -> Iterator[Check]:
    """Check which image and video formats can be read."""
    from PIL import features

    found = [name for name in ("webp", "avif") if features.check(name)]
    detail = f"Pillow {version('pillow')} with {', '.join(['JPEG, PNG', *found])}"
    yield Check("environment", "images", "ok", detail)
    for check, package, extra in (
        ("HEIC images", "pillow-heif", "heif"),
        ("videos", "av", "video"),
    ):
        have = version(package)
        detail = f"{package} {have}" if have else f"pip install 'vlmsweep[{extra}]' reads them"
        yield Check("environment", check, state_of(have is not None, "unavailable"), detail)


def terminal(screen: TextIO) -> Check:
    """Check whether this terminal can show the live view."""
    kind = os.environ.get("TERM", "dumb")
    if not screen.isatty():
        return Check(
            "environment", "live view", "unavailable", "no terminal: a line per job is written"
        )
    if kind == "dumb":
        return Check(
            "environment", "live view", "unavailable", "a dumb terminal: a line per job is written"
        )
    size = shutil.get_terminal_size()
    detail = f"{kind}, {size.columns} x {size.lines}, {screen.encoding}"
    return Check("environment", "live view", "ok", detail)
