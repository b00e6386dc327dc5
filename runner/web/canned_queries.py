"""The named queries as Datasette takes them.

It gives every parameter as text, and an empty one for none; so those with a
number for their default are cast, and a page without parameters is led to the one with the
defaults. The files themselves are read by `runner.queries`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..queries import NamedQuery


@dataclass(frozen=True, slots=True)
class CannedQuery:
    """A named query for a page; `defaults` are its parameters, as text."""

    name: str
    title: str
    help: str
    sql: str
    defaults: dict[str, str]


def to_canned_query(query: NamedQuery) -> CannedQuery:
    """A query as a page asks it."""
    lines = query.sql.splitlines()
    while lines and lines[0].startswith("--"):  # the help, which the page shows
        lines.pop(0)
    sql = "\n".join(lines).strip()
    for one in query.parameters:
        if isinstance(one.default, int | float):
            sql = re.sub(rf":{one.name}\b", f"CAST(:{one.name} AS NUMERIC)", sql)
    parameters = [f"{one.name}: {one.meaning}" for one in query.parameters]
    help = "\n".join(
        filter(None, [query.help, "\n" * bool(query.help and parameters), *parameters])
    )
    defaults = {
        one.name: "" if one.default is None else str(one.default) for one in query.parameters
    }
    return CannedQuery(query.name, query.title, help, sql, defaults)
