"""What images can be read and what this terminal can show."""

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


def checks(screen: TextIO) -> Iterator[Check]:
    """Images, videos, the terminal, and the machine as such."""
    yield from images()
    yield terminal(screen)
    said = f"vlmsweep {__version__}, Python {platform.python_version()}, {platform.system()}"
    said += f" {platform.release()}, {platform.machine()}, {host.cores()} cores"
    yield Check("here", "machine", "in force", said)


def images() -> Iterator[Check]:
    """What Pillow was built with, and what may be installed beside it."""
    from PIL import features

    found = [name for name in ("webp", "avif") if features.check(name)]
    said = f"Pillow {version('pillow')} with {', '.join(['JPEG, PNG', *found])}"
    yield Check("here", "images", "in force", said)
    for check, package, extra in (
        ("HEIC images", "pillow-heif", "heif"),
        ("videos", "av", "video"),
    ):
        have = version(package)
        said = f"{package} {have}" if have else f"pip install 'vlmsweep[{extra}]' reads them"
        yield Check("here", check, state_of(have is not None, "not here"), said)


def terminal(screen: TextIO) -> Check:
    """What the live view would have to do with."""
    kind = os.environ.get("TERM", "dumb")
    if not screen.isatty():
        return Check("here", "live view", "not here", "no terminal: a line per job is written")
    if kind == "dumb":
        return Check("here", "live view", "not here", "a dumb terminal: a line per job is written")
    size = shutil.get_terminal_size()
    said = f"{kind}, {size.columns} x {size.lines}, {screen.encoding}"
    return Check("here", "live view", "in force", said)
