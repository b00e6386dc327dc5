"""The commands that the documents show, and what is needed to run them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.paths import ROOT

BLOCK = re.compile(r"^```(console|bash|sh|shell)\b[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
]


@dataclass(frozen=True)
class Shown:
    """A command line of a document, as written."""

    document: str
    block: int
    line: str

    def words(self) -> list[str]:
        """Returns the words as a shell has them, without the comment."""
        lexer = shlex.shlex(self.line, posix=True, punctuation_chars="|>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        return list(lexer)


@dataclass(frozen=True)
class Parts:
    """A `vlmsweep` command: its arguments, its output file, and the program that reads it."""

    arguments: tuple[str, ...]
    output: str | None = None
    reader: tuple[str, ...] = ()


def commands(document: str) -> list[Shown]:
    """Returns all commands of a document's shell blocks, in order."""
    found: list[Shown] = []
    blocks = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    for number, (language, text) in enumerate(blocks):
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            if language != "console" and line.strip():
                found.append(Shown(document, number, line))
            elif line.startswith("$ "):
                found.append(Shown(document, number, line[2:]))
    return found


def split(shown: Shown) -> Parts:
    """Splits `vlmsweep ... > FILE` and `vlmsweep ... | READER`."""
    words = shown.words()
    assert words.pop(0) == "vlmsweep", shown
    if "|" in words:
        at = words.index("|")
        return Parts(tuple(words[:at]), reader=tuple(words[at + 1 :]))
    if ">" in words:
        at = words.index(">")
        (output,) = words[at + 1 :]
        return Parts(tuple(words[:at]), output=output)
    return Parts(tuple(words))


def expand_home(path: str, home: Path) -> Path:
    """Returns a path of a command line as a shell expands it."""
    return home / path.removeprefix("~/") if path.startswith("~/") else Path(path)
