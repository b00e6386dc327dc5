"""The named queries as Datasette takes them: their help, and defaults for their parameters.

Datasette gives every parameter as text, and an empty one where none was asked for; so numbers are
cast, and a page without parameters is led to the one with the defaults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "queries"
PARAMETER = re.compile(r":(\w+) = (?:'(.*?)'|(\S+))\s*(.*)")


@dataclass(frozen=True, slots=True)
class Question:
    """A named query; `defaults` are its parameters, as text."""

    name: str
    title: str
    help: str
    sql: str
    defaults: dict[str, str]


def questions(folder: Path = FOLDER) -> list[Question]:
    """Those that come with vlmsweep."""
    return [read(path) for path in sorted(folder.glob("*.sql"))]


def read(path: Path) -> Question:
    """A file: a comment for its help, then the query."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    sql = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    found = [(PARAMETER.match(line), line) for line in head]
    defaults, told = {}, []
    for match, line in found:
        if match is None:
            told.append(line)
            continue
        name, text, number, _ = match.groups()
        defaults[name] = number if text is None else text
        if number is not None:
            sql = re.sub(rf":{name}\b", f"CAST(:{name} AS NUMERIC)", sql)
        told.append(line)
    return Question(path.stem, told[0], "\n".join(told[1:]).strip(), sql.strip(), defaults)
