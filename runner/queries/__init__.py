"""Named queries: files of SQL, built-in ones in this folder and the user's in another.

A file begins with comments: the first line is the query's title, lines such as
`-- :limit = 20  how many` name its parameters with their defaults, the others are its help.
Finding and reading the files is all that happens here; `runner.database.reader` runs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import QueryError
from ..text.suggest import suggest

OURS = Path(__file__).parent
SWEEP = "sweep"  # a parameter of this name takes what other commands take for a sweep
WORDS = ("latest", "all")
PARAMETER = re.compile(r":(\w+)(?:\s*=\s*('(?:[^']|'')*'|[^\s']\S*))?(?:\s+(.*))?$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One `:name` of a query; `required` when it has no default."""

    name: str
    default: Any
    required: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query with a name: its file's, without the `.sql`."""

    name: str
    sql: str
    title: str
    help: str
    parameters: tuple[Parameter, ...]
    path: Path

    @property
    def is_builtin(self) -> bool:
        """Whether it came with vlmsweep."""
        return self.path.parent == OURS

    def values(
        self, given: dict[str, Any], sweep: Callable[[str], int] | None = None
    ) -> dict[str, Any]:
        """The values bound to the query: the given ones, else the defaults.

        `sweep` finds a sweep's number by the user's name for it. Raises QueryError for a name the
        query has not, and for one that it needs and was not given.
        """
        known = [parameter.name for parameter in self.parameters]
        known += [name for name in re.findall(r":(\w+)", self.code()) if name not in known]
        for name in given:
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise QueryError(
                    f"{self.name} has no parameter {name!r}{suggest(name, known)}: {has}"
                )
        for parameter in self.parameters:
            if parameter.required and parameter.name not in given:
                raise QueryError(
                    f"{self.name} needs a value for {parameter.name}: {parameter.meaning}",
                    hint=f"add -p {parameter.name} VALUE",
                )
        values = {parameter.name: parameter.default for parameter in self.parameters} | given
        if sweep and SWEEP in given and given[SWEEP] not in WORDS:
            values[SWEEP] = sweep(str(given[SWEEP]))
        return values

    def help_text(self) -> str:
        """Its title and help, and its parameters with their defaults."""
        parts = [f"{self.name}: {self.title}.", self.help]
        if self.parameters:
            width = max(len(p.name) for p in self.parameters)
            lines = [
                f"  {p.name:{width}}  {p.meaning} [{'required' if p.required else p.default}]"
                for p in self.parameters
            ]
            parts.append("Parameters, given as -p NAME VALUE:\n" + "\n".join(lines))
        return "\n\n".join(part for part in parts if part)

    def code(self) -> str:
        """The query without its comments and texts, in which a colon means nothing."""
        return re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", " ", self.sql, flags=re.DOTALL)


def read(path: Path) -> NamedQuery:
    """A query's file. Raises QueryError when it cannot be read."""
    try:
        sql = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise QueryError(f"cannot read the query {path}: {error}") from error
    lines: list[str] = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.lstrip("-").strip())
    found = [(line, PARAMETER.match(line)) for line in lines]
    words = [line for line, match in found if match is None]
    title = words[0] if words else ""
    parameters = tuple(parameter(match) for _, match in found if match)
    help = "\n".join(words[1:]).strip()
    return NamedQuery(path.stem, sql, title.rstrip("."), help, parameters, path)


def parameter(match: re.Match[str]) -> Parameter:
    """A parameter's line in the comment."""
    name, default, meaning = match.groups()
    return Parameter(name, parse_default(default), default is None, meaning or "")


def parse_default(text: str | None) -> Any:
    """Parses a default of the comment: 20, 1.2, 'text' or null."""
    if text is None or text.lower() == "null":
        return None
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def paths(folder: Path) -> dict[str, Path]:
    """All files by their queries' names: built-in ones, and the user's, which win."""
    found = {path.stem: path for path in OURS.glob("*.sql")}
    if folder.is_dir():
        found |= {path.stem: path for path in folder.glob("*.sql")}
    return dict(sorted(found.items()))


def list_queries(folder: Path) -> list[NamedQuery]:
    """All queries by name. Raises QueryError when one cannot be read."""
    return [read(path) for path in paths(folder).values()]


def find_query(name: str, folder: Path) -> NamedQuery:
    """One of them. Raises QueryError when there is none of that name."""
    known = paths(folder)
    if name not in known:
        raise QueryError(
            f"there is no query {name!r}{suggest(name, known)}",
            hint=f"vlmsweep history lists them; {folder} is the place for your own",
        )
    return read(known[name])
