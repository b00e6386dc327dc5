"""Merges sweeps of another database into this one; rows are matched by content, not by id.

`merge` takes a database with the same schema, whose paths are valid here: a staged one, or one
read by `runner.transfer.source`, which checks untrusted files. It prints nothing,
copies no files, and leaves the other database as it is. The tables to copy are listed in
`runner.database.merge.tables`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlite_utils import Database

from ...errors import ExchangeError
from .. import MIGRATIONS
from ..store import Store
from .copy_rows import ConflictError, DanglingReferenceError, RowCopier
from .tables import TABLES


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The result for one sweep.

    `id` is its id here, None when it was refused: `refused` is then the reason. `added` counts new
    rows by table, `kept` existing rows with other content, which are unchanged, and `left` rows
    that are not imported because they belong to such a row.
    """

    uid: str
    name: str | None
    id: int | None
    new: bool
    added: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    refused: str | None = None


def merge(
    store: Store, source: Path, *, uids: Sequence[str] | None = None, waiting: bool = False
) -> list[MergeResult]:
    """Adds the sweeps of the database `source` (all of them, or those of `uids`) to this one.

    Each sweep is one transaction, in the order they have there. Existing rows are not
    added again; running ones are left out. The sweeps are not queued here, so that no import
    starts work, unless `waiting`: then they wait as they did there.

    Not to be called within a transaction. Raises ExchangeError, and sqlite3.Error when our own
    database fails; sweeps before the one that failed are in.
    """
    if not source.is_file():
        raise ExchangeError(f"there is no file {source}")
    with attached(store.connection, str(source.absolute()), str(source)):
        return merge_attached(store.db, uids, waiting)


def merge_attached(db: Database, uids: Sequence[str] | None, waiting: bool) -> list[MergeResult]:
    """The same, from a database that is attached already as `there`."""
    ask = "SELECT uid FROM there.sweeps ORDER BY id"
    found = [uid for (uid,) in db.execute(ask).fetchall()]
    wanted = found if uids is None else [uid for uid in found if uid in set(uids)]
    carrier = RowCopier(db.conn)
    try:
        return [merge_sweep(db, carrier, uid, waiting) for uid in wanted]
    finally:
        carrier.close()


@contextmanager
def attached(connection: sqlite3.Connection, where: str, source: str) -> Iterator[None]:
    """The database at `where`, a path or a URI, attached as `there`; messages name `source`.

    Raises ExchangeError if it cannot be used.
    """
    try:
        connection.execute("ATTACH ? AS there", [where])
    except sqlite3.Error as error:
        raise ExchangeError(f"cannot read {source}: {error}") from error
    try:
        try:
            applied = "SELECT name FROM there._sqlite_migrations WHERE migration_set = 'vlmsweep'"
            names = {name for (name,) in connection.execute(applied).fetchall()}
        except sqlite3.Error as error:
            raise ExchangeError(f"{source} is not a vlmsweep database: {error}") from error
        if names != set(MIGRATIONS):
            raise ExchangeError(f"{source} has another schema than this vlmsweep")
        yield
    finally:
        connection.execute("DETACH there")


def merge_sweep(db: Database, carrier: RowCopier, uid: str, waiting: bool) -> MergeResult:
    """One sweep, wholly or not at all."""
    name = None
    try:
        with db.atomic():
            name = carrier.begin(uid)
            for table in TABLES:
                carrier.carry(table)
            carrier.update_states(waiting)
    except ConflictError as error:
        return MergeResult(uid, name, None, False, refused=str(error))
    except (sqlite3.IntegrityError, DanglingReferenceError) as error:
        raise ExchangeError(f"the sweep {uid} does not hold together: {error}") from error
    return MergeResult(
        uid, name, carrier.root, carrier.fresh, carrier.added, carrier.kept, carrier.left
    )
