"""How commands that run sweeps tell what happens: on the terminal, and to what stands beside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import as_company

if TYPE_CHECKING:
    from schemas.stream import Tell


@contextmanager
def told(place: Path, given: dict[str, Any], *, json: bool, quiet: bool) -> Iterator[Tell]:
    """A `tell` for standard output and for the company of the options of `beside`."""
    from runner import company
    from runner.view import telling

    how = telling.mode(sys.stdout, json=json, quiet=quiet)
    with (
        telling.telling(how, sys.stdout, sys.stderr) as view,
        company.kept(view, place, as_company(given)) as tell,
    ):
        yield tell
