"""Copies the rows of one sweep from the attached database `there`, table by table.

For each table with ids, a temporary table maps the ids there to the ids here,
so that nothing goes through Python. Transactions and errors are `runner.database.merge`'s.
"""

from __future__ import annotations

import sqlite3

from ...planning.plan import ELSEWHERE
from .tables import BY_NAME, ROOT, TABLES, MergeTable

# The columns of a map: the row there, the row here, and whether that one is new (1), was here
# already (0), or is here with other content (-1).
MAP = "remote INTEGER PRIMARY KEY, local INTEGER, new INTEGER"


class ConflictError(Exception):
    """A different sweep of that name exists."""


class DanglingReferenceError(Exception):
    """The rows there are inconsistent: they were changed, or are damaged."""


class RowCopier:
    """The id maps between there and here, and the counts of the current sweep."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.columns = {table.name: self.copied_columns(table) for table in TABLES}
        for table in TABLES:
            if not table.bare:
                self.execute(f"CREATE TEMP TABLE map_{table.name} ({MAP})")

    def copied_columns(self, table: MergeTable) -> list[str]:
        """The table's columns, but its number and those left empty."""
        rows = self.execute("SELECT name FROM pragma_table_info(?)", [table.name])
        return [name for (name,) in rows if name != "id" and name not in table.unset]

    def close(self) -> None:
        """Drops the maps."""
        for table in TABLES:
            if not table.bare:
                self.execute(f"DROP TABLE temp.map_{table.name}")

    def begin(self, uid: str) -> str | None:
        """Starts a sweep: maps its rows there; returns its name."""
        for table in TABLES:
            if not table.bare:
                self.execute(f"DELETE FROM temp.map_{table.name}")
        self.added: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.left: dict[str, int] = {}
        self.root, self.fresh = 0, False
        self.execute(
            f"INSERT INTO temp.map_{ROOT} (remote) SELECT id FROM there.{ROOT} WHERE uid = ?", [uid]
        )
        self.picked = {ROOT}
        for table in TABLES:
            self.select_rows(table)
        (name,) = self.execute("SELECT name FROM there.sweeps WHERE uid = ?", [uid]).fetchone()
        return None if name is None else str(name)

    def select_rows(self, table: MergeTable) -> None:
        """Notes which rows there belong to the sweep, or are pointed to by such rows."""
        if table.name in self.picked:
            return
        self.picked.add(table.name)
        if table.of is not None:
            owner = table.refs[table.of]
            self.select_rows(BY_NAME[owner])
            if table.bare:
                return
            self.execute(
                f"INSERT INTO temp.map_{table.name} (remote) SELECT s.id FROM temp.map_{owner} AS o"
                f" JOIN there.{table.name} AS s ON s.{table.of} = o.remote"
                f" WHERE {table.finished}"
            )
            return
        for user in TABLES:
            for column, target in user.refs.items():
                if target == table.name and user.of != column:
                    self.select_rows(user)
                    self.execute(
                        f"INSERT OR IGNORE INTO temp.map_{table.name} (remote)"
                        f" SELECT s.{column} FROM {self.selected_from(user)}"
                        f" WHERE s.{column} NOT NULL"
                    )

    def selected_from(self, table: MergeTable) -> str:
        """The picked rows of a table there, as `s`."""
        if not table.bare:
            return f"temp.map_{table.name} AS x JOIN there.{table.name} AS s ON s.id = x.remote"
        assert table.of is not None
        owner = table.refs[table.of]
        return f"temp.map_{owner} AS o JOIN there.{table.name} AS s ON s.{table.of} = o.remote"

    # A table's way here.

    def carry(self, table: MergeTable) -> None:
        """Adds a table's new rows, and counts those that differ. Raises DifferentError."""
        if table.bare:
            self.add_bare(table)
            return
        self.drop_dependents_of_conflicts(table)
        self.match_existing(table)
        self.assign_ids(table)
        self.add(table)
        if table.name == ROOT:
            self.root, self.fresh = self.execute(
                f"SELECT local, new = 1 FROM temp.map_{ROOT}"
            ).fetchone()
            self.fresh = bool(self.fresh)

    def joins(self, table: MergeTable) -> str:
        """Joins from `s` to the maps of the rows that it references."""
        return "".join(
            f" LEFT JOIN temp.map_{target} AS r_{column} ON r_{column}.remote = s.{column}"
            for column, target in table.refs.items()
        )

    def value(self, table: MergeTable, column: str) -> str:
        """The SQL value here of a column of `s`."""
        return f"r_{column}.local" if column in table.refs else f"s.{column}"

    def same(self, table: MergeTable, columns: list[str]) -> str:
        """A condition: `m`, the row here, is equal to `s` in these columns."""
        return " AND ".join(f"m.{c} IS {self.value(table, c)}" for c in columns) or "1"

    def drop_dependents_of_conflicts(self, table: MergeTable) -> None:
        """Leaves behind what points to a row that is another one here."""
        for column, target in table.refs.items():
            if target not in self.kept or BY_NAME[target].of is None:
                continue
            done = self.execute(
                f"DELETE FROM temp.map_{table.name} WHERE remote IN (SELECT s.id"
                f" FROM {self.selected_from(table)} JOIN temp.map_{target} AS r"
                f" ON r.remote = s.{column} WHERE r.new = -1)"
            )
            self.count(self.left, table, done.rowcount)

    def match_existing(self, table: MergeTable) -> None:
        """Finds the rows that are here already, and whether they say the same."""
        if self.fresh and table.of is not None:
            return
        found = (
            f"SELECT m.id FROM there.{table.name} AS s{self.joins(table)}"
            f" JOIN main.{table.name} AS m ON {self.same(table, list(table.keys))}"
            " WHERE s.id = x.remote"
        )
        self.execute(f"UPDATE temp.map_{table.name} AS x SET local = ({found}), new = 0")
        fixed = [c for c in self.columns[table.name] if c not in table.moves]
        done = self.execute(
            f"UPDATE temp.map_{table.name} SET new = -1 WHERE remote IN (SELECT s.id"
            f" FROM {self.selected_from(table)}{self.joins(table)}"
            f" JOIN main.{table.name} AS m ON m.id = x.local"
            f" WHERE NOT ({self.same(table, fixed)}))"
        )
        if done.rowcount and table.firm:
            raise ConflictError(f"a sweep of that uid is here with other {table.name}")
        self.count(self.kept, table, done.rowcount)

    def assign_ids(self, table: MergeTable) -> None:
        """Gives the new rows ids, in an order that does not depend on the ids there."""
        order = ", ".join(self.value(table, key) for key in table.keys)
        self.execute(
            f"UPDATE temp.map_{table.name} AS x SET new = 1, local = n.number FROM (SELECT s.id,"
            f" (SELECT ifnull(max(id), 0) FROM main.{table.name})"
            f" + row_number() OVER (ORDER BY {order}) AS number"
            f" FROM {self.selected_from(table)}{self.joins(table)} WHERE x.local IS NULL) AS n"
            " WHERE n.id = x.remote"
        )

    def check_references(self, table: MergeTable) -> None:
        """Raises DisjointedError where a row points to nothing that came with it."""
        astray = " OR ".join(
            f"(s.{column} NOT NULL AND r_{column}.local IS NULL)"
            for column in table.refs
            if column not in table.unset
        )
        if (
            astray
            and self.execute(
                f"SELECT 1 FROM {self.selected_from(table)}{self.joins(table)}"
                f" WHERE {astray} LIMIT 1"
            ).fetchone()
        ):
            raise DanglingReferenceError(f"{table.name} reference missing rows")

    def add(self, table: MergeTable) -> None:
        """Adds the new rows."""
        self.check_references(table)
        names = self.columns[table.name]
        values = ", ".join(self.value(table, name) for name in names)
        done = self.execute(
            f"INSERT INTO main.{table.name} (id, {', '.join(names)}) SELECT x.local, {values}"
            f" FROM {self.selected_from(table)}{self.joins(table)} WHERE x.new = 1 ORDER BY x.local"
        )
        self.count(self.added, table, done.rowcount)

    def add_bare(self, table: MergeTable) -> None:
        """Adds the new rows of a table without numbers: those whose owner is the same, or new."""
        names, keys = self.columns[table.name], list(table.keys)
        values = ", ".join(self.value(table, name) for name in names)
        here = f"main.{table.name} AS m ON {self.same(table, keys)}"
        there = f"{self.selected_from(table)}{self.joins(table)}"
        fixed = [name for name in names if name not in table.moves]
        self.check_references(table)
        if not self.fresh:
            (differ,) = self.execute(
                f"SELECT count(*) FROM {there} JOIN {here}"
                f" WHERE o.new = 0 AND NOT ({self.same(table, fixed)})"
            ).fetchone()
            if differ and table.firm:
                raise ConflictError(f"a sweep of that uid is here with other {table.name}")
            self.count(self.kept, table, differ)
        done = self.execute(
            f"INSERT INTO main.{table.name} ({', '.join(names)}) SELECT {values} FROM {there}"
            f" LEFT JOIN {here} WHERE o.new >= {int(table.firm)} AND m.{keys[0]} IS NULL"
            f" AND {table.finished}"
        )
        self.count(self.added, table, done.rowcount)

    @staticmethod
    def count(counts: dict[str, int], table: MergeTable, number: int) -> None:
        """Adds to a count, leaving noughts out."""
        if number:
            counts[table.name] = counts.get(table.name, 0) + number

    # States that follow from the rows.

    def update_states(self, waiting: bool) -> None:
        """Sets the states of the jobs and the sweep from the rows that exist now."""
        self.settle_jobs()
        if self.fresh:
            self.execute(
                "UPDATE main.sweeps SET state = CASE WHEN state = 'done' OR (state = 'queued'"
                " AND ?1) THEN state ELSE 'interrupted' END,"
                " in_queue = in_queue AND ?1, paused = paused AND ?1 WHERE id = ?2",
                [waiting, self.root],
            )
            if not waiting:
                self.execute(
                    "UPDATE main.sweep_models SET python = ?1 || python WHERE sweep_id = ?2"
                    " AND substr(python, 1, length(?1)) <> ?1",
                    [ELSEWHERE, self.root],
                )
        elif self.added:
            self.execute(
                "UPDATE main.sweeps AS m SET state = CASE WHEN EXISTS (SELECT 1 FROM main.jobs"
                " WHERE sweep_id = m.id AND state <> 'done') THEN 'interrupted' ELSE 'done' END,"
                " started_at = iif(later, s.started_at, m.started_at),"
                " ended_at = iif(later, s.ended_at, m.ended_at)"
                " FROM (SELECT s.*, ifnull(s.ended_at > m.ended_at, m.ended_at IS NULL) AS later"
                " FROM there.sweeps AS s JOIN main.sweeps AS m USING (uid)) AS s"
                " WHERE m.id = ? AND s.uid = m.uid",
                [self.root],
            )

    def settle_jobs(self) -> None:
        """A job's latest run is its last attempt here; it is done if that was its last there."""
        self.execute(
            """
            UPDATE main.jobs AS m SET
                latest_run_id = (SELECT id FROM main.runs WHERE job_id = m.id
                    ORDER BY attempt DESC LIMIT 1),
                state = CASE WHEN s.state = 'done'
                    AND (SELECT ifnull(max(attempt), 0) FROM there.runs WHERE job_id = s.id)
                    <= (SELECT ifnull(max(attempt), 0) FROM main.runs WHERE job_id = m.id)
                    THEN 'done' ELSE 'queued' END
            FROM temp.map_jobs AS x JOIN there.jobs AS s ON s.id = x.remote
            WHERE m.id = x.local AND (x.new = 1 OR EXISTS (SELECT 1 FROM main.runs
                JOIN temp.map_runs AS r ON r.local = runs.id AND r.new = 1
                WHERE runs.job_id = m.id))
            """
        )
