"""Turns SQLite's errors into advice: the probable meaning, and the existing tables and columns.

Pure text work on an error, a query and a schema; it runs nothing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence

from ..errors import QueryError
from ..text.suggest import suggest

MISSING = re.compile(r"no such (table|column|function): \"?([^\"]+?)\"?(?: - .*)?$")
TOKEN = re.compile(r'near "(.+)": syntax error')
PARAMETER = re.compile(r"binding (?:parameter )?:?(\w+)")


def explain_error(
    error: sqlite3.Error | sqlite3.Warning, sql: str, schema: Mapping[str, Sequence[str]]
) -> QueryError:
    """The error as one with a hint."""
    text = str(error)
    if found := MISSING.search(text):
        return explain_missing_name(found[1], found[2], sql, schema)
    if (
        "not authorized" in text
        or "authorization" in text
        or "readonly" in text
        or "read-only" in text
    ):
        return QueryError("the history is only read here: that statement would do more")
    if "one statement" in text:
        return QueryError("one query at a time, please: there is a second after the semicolon")
    if found := PARAMETER.search(text):
        return QueryError(
            f"the query's parameter :{found[1]} has no value", hint=f"add -p {found[1]} VALUE"
        )
    if found := TOKEN.search(text):
        return QueryError(
            f"SQL syntax error at {found[1]!r}",
            hint="an example: select model, avg(latency_s) from results group by 1",
        )
    return QueryError(f"the query failed: {text}")


def explain_missing_name(
    what: str, name: str, sql: str, schema: Mapping[str, Sequence[str]]
) -> QueryError:
    """A name that does not exist, and the one that was probably meant."""
    bare = name.rpartition(".")[2]
    if what == "table":
        known = ", ".join(sorted(table for table in schema if not table.startswith("_")))
        return QueryError(
            f"there is no table {name!r}{suggest(bare, schema)}", hint=f"known: {known}"
        )
    if what == "function":
        return QueryError(f"SQLite has no function {name!r}")
    asked = [table for table in schema if re.search(rf"\b{re.escape(table)}\b", sql)]
    columns = dict.fromkeys(column for table in asked for column in schema[table])
    order = sorted(schema, key=lambda table: (table not in ("results", "summary"), table))
    elsewhere = {column: table for table in reversed(order) for column in schema[table]}
    if bare in elsewhere and asked and bare not in columns:
        advice = f" in {asked[0]}, but {elsewhere[bare]} has one"
    else:
        advice = suggest(bare, columns or elsewhere)
    hint = "".join(f"columns of {table}: {', '.join(schema[table])}" for table in asked[:1])
    return QueryError(f"there is no column {name!r}{advice}", hint=hint or None)
