"""Reads the history: a connection that cannot write, and the questions the commands ask.

It imports no sqlite-utils, which is slow to start, and changes nothing in any file. Turning
SQLite's errors into advice is `runner.database.error_hints`; writing is `runner.database.store`.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from schemas.rows import Results, Scored, Sweeps
from schemas.states import Outcome

from ..errors import DatabaseError, QueryError
from ..text.suggest import suggest
from . import APPLICATION_ID, BUSY_TIMEOUT_S
from .error_hints import explain_error
from .liveness import GONE, gone_since
from .score_reader import NO_SCORE, check_summaries, primary_scores
from .sweep_rows import SWEEPS, SummaryRow, SweepRow

CHECK_EVERY = 10_000
FORBIDDEN = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}
# Pragmas that only tell; any other may be read but not set.
TELLING = {"table_info", "table_xinfo", "index_list", "index_info", "index_xinfo"}
TELLING |= {"foreign_key_list", "table_list"}


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A query's result: names of the columns, each once, and the rows as they are read."""

    names: list[str]
    rows: Iterator[Sequence[Any]]


class Reader:
    """One open database file, for reading. `limit_s` holds for each question."""

    def __init__(self, path: Path, limit_s: float = 30) -> None:
        """Opens the file. Raises DatabaseError when it is missing or no vlmsweep database."""
        self.path, self.limit_s = path, limit_s
        self.deadline = float("inf")
        if not path.is_file():
            raise DatabaseError(
                f"there is no database at {path}",
                hint="vlmsweep demo makes one; --db or VLMSWEEP_DB say where another lies",
            )
        try:
            self.connection = connect(path)
            (ours,) = self.connection.execute("PRAGMA application_id").fetchone()
            (tables,) = self.connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'results'"
            ).fetchone()
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot read {path} as a database: {error}") from error
        if ours != APPLICATION_ID:
            self.connection.close()
            raise DatabaseError(
                f"{path} is a database of some other program", hint="give another file with --db"
            )
        if not tables:
            self.connection.close()
            raise DatabaseError(f"nothing is stored in {path} yet", hint="vlmsweep demo")
        self.connection.set_progress_handler(self.overdue, CHECK_EVERY)
        self.connection.set_authorizer(authorize)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def overdue(self) -> int:
        """True if the current query has exceeded its time limit."""
        return int(time.monotonic() > self.deadline)

    def migrations(self) -> list[str]:
        """Names of the changes that the file's schema has seen, in order."""
        rows = self.connection.execute("SELECT name FROM _sqlite_migrations ORDER BY rowid")
        return [name for (name,) in rows]

    # Any question.

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> QueryResult:
        """A user's own question. Raises QueryError, also while the rows are read."""
        self.deadline = time.monotonic() + self.limit_s
        with self.errors(sql):
            cursor = self.connection.execute(sql, parameters or {})
        if cursor.description is None:
            raise QueryError("not a query: the statement returns no rows")
        return QueryResult(
            unique_names([column[0] for column in cursor.description]), self.rows(cursor, sql)
        )

    def rows(self, cursor: sqlite3.Cursor, sql: str) -> Iterator[Sequence[Any]]:
        """The rows, one at a time."""
        with self.errors(sql):
            # Not `yield from`, which would close the cursor, after the file was.
            for row in cursor:  # noqa: UP028
                yield row

    @contextmanager
    def errors(self, sql: str) -> Iterator[None]:
        """Turns SQLite's errors into DatabaseError and QueryError."""
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            if "interrupted" in str(error):
                if not self.overdue():  # the signal's own exception was lost in the handler
                    raise KeyboardInterrupt from error
                raise QueryError(
                    f"the query took over {self.limit_s:g} s and was stopped",
                    hint="narrow it with where or limit, or give it longer with --limit-s",
                ) from error
            raise explain_error(error, sql, self.schema()) from error

    def schema(self) -> dict[str, list[str]]:
        """Tables and views with their columns, as they are in this file."""
        self.deadline = float("inf")
        out: dict[str, list[str]] = {}
        rows = self.connection.execute(
            "SELECT m.name, p.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS p"
            " WHERE m.type IN ('table', 'view') AND m.name NOT GLOB '*_fts_*'"
            " AND p.hidden <> 1"  # generated columns count, those of FTS5 itself do not
        )
        for table, column in rows:
            out.setdefault(table, []).append(column)
        return out

    def records(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Runs one of our queries; returns dictionaries."""
        self.deadline = time.monotonic() + self.limit_s
        with self.errors(sql):
            cursor = self.connection.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def records_with_parameters(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The same with values by their names."""
        answer = self.query(sql, values)
        return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]

    # The commands' questions.

    def sweep(self, named: str | None = None) -> Sweeps:
        """The sweep meant by a number, a name, a uid or its beginning; the latest by default."""
        if named is None:
            found = self.records("SELECT * FROM sweeps ORDER BY id DESC LIMIT 1")
            if not found:
                raise QueryError(f"no sweep is stored in {self.path} yet", hint="vlmsweep demo")
            return cast(Sweeps, found[0])
        if re.fullmatch(r"\d{1,15}", named) and (
            found := self.records("SELECT * FROM sweeps WHERE id = ?", int(named))
        ):
            return cast(Sweeps, found[0])
        exact = "SELECT * FROM sweeps WHERE ? IN (uid, name) ORDER BY id DESC LIMIT 1"
        if found := self.records(exact, named):
            return cast(Sweeps, found[0])
        start = "SELECT * FROM sweeps WHERE substr(uid, 1, length(?1)) = ?1 ORDER BY id DESC"
        a_number = re.fullmatch(r"\d{1,7}", named)  # of no sweep there is: not the year it began
        found = [] if a_number else self.records(start, named)
        if len(found) == 1:
            return cast(Sweeps, found[0])
        if found:
            uids = ", ".join(row["uid"] for row in found[:5])
            raise QueryError(f"{named!r} is the beginning of {len(found)} sweeps: {uids}")
        names = self.records("SELECT name, uid FROM sweeps")
        known = [str(text) for row in names for text in row.values() if text]
        raise QueryError(
            f"no sweep is called {named!r}{suggest(named, known)}",
            hint="vlmsweep sweeps lists them",
        )

    def sweeps(self) -> list[SweepRow]:
        """All sweeps, the latest first, with counts over each job's latest run.

        The state is `supervisor_gone` if it is stored as running and no supervisor exists.
        """
        rows = cast(list[SweepRow], self.records(SWEEPS))
        for row in rows:
            row["gone_since"] = gone_since(self, {"id": row["number"], **row})
            row["state"] = GONE if row["gone_since"] else row["state"]
        return rows

    def summary(self, sweep: int) -> list[SummaryRow]:
        """The guide's table: a row per model, in the sweep's order, with its outcomes counted.

        Notes also tell what the checks of its texts come to.
        """
        rows = self.records(
            "SELECT summary.* FROM summary JOIN sweep_models ON sweep_models.id = sweep_model_id"
            " WHERE summary.sweep_id = ? ORDER BY position, sweep_model_id",
            sweep,
        )
        counted = self.records(
            """
            SELECT sweep_model_id, count(*) AS count,
                CASE WHEN unusable_image THEN 'unusable_image' ELSE outcome END AS outcome FROM jobs
            LEFT JOIN runs ON runs.id = jobs.latest_run_id
            WHERE jobs.sweep_id = ? GROUP BY 1, 3 ORDER BY count(*) DESC, outcome
            """,
            sweep,
        )
        scored, remarks = primary_scores(self, sweep), check_summaries(self, sweep)
        for row in rows:
            row |= scored.get(row["sweep_model_id"], NO_SCORE)
            notes = (row["notes"], remarks.get(row["sweep_model_id"]))
            row["notes"] = "; ".join(text for text in notes if text) or None
            mine = [c for c in counted if c["sweep_model_id"] == row["sweep_model_id"]]
            row["status"] = format_status({c["outcome"]: c["count"] for c in mine})
        return cast(list[SummaryRow], rows)

    def results(self, sweep: int) -> list[Results]:
        """A sweep's jobs with their latest runs, in the sweep's order."""
        found = self.records("SELECT * FROM results WHERE sweep_id = ? ORDER BY job_id", sweep)
        return cast(list[Results], found)

    def scored_jobs(self, sweep: int) -> list[Scored]:
        """The same jobs with the checks and scores of their texts."""
        found = self.records("SELECT * FROM scored WHERE sweep_id = ? ORDER BY job_id", sweep)
        return cast(list[Scored], found)


def authorize(action: int, name: str | None, value: str | None, *_: str | None) -> int:
    """Lets a statement read. Other files stay shut, and the connection stays as it is."""
    sets = action == sqlite3.SQLITE_PRAGMA and value is not None and name not in TELLING
    return sqlite3.SQLITE_DENY if sets or action in FORBIDDEN else sqlite3.SQLITE_OK


def connect(path: Path) -> sqlite3.Connection:
    """A connection that can't write, even where the folder can't be written either."""
    uri = path.absolute().as_uri() + "?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # A write-ahead log is a separate file. Without one, the database file is complete.
        if path.with_name(path.name + "-wal").exists():
            raise
        connection = sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, a second `id` as `id_2`, so that no value is lost in JSON."""
    out: list[str] = []
    for name in names:
        number, made = 1, name
        while made in out:
            number += 1
            made = f"{name}_{number}"
        out.append(made)
    return out


def format_status(outcomes: Mapping[str | None, int]) -> str:
    """`ok 12/12`, or `8 ok, 3 timeout, 1 skipped`."""
    total = sum(outcomes.values())
    ok = outcomes.get(Outcome.OK, 0)
    if ok == total:
        return f"ok {ok}/{total}"
    rest = {key: count for key, count in outcomes.items() if key != Outcome.OK}
    parts = [f"{ok} ok"] if ok else []
    parts += [f"{count} {(key or 'waiting').replace('_', ' ')}" for key, count in rest.items()]
    return ", ".join(parts)
