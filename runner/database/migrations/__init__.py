"""The database's schema, as sqlite-utils migrations, applied in order.

A migration that was released is never edited: a later change is a further migration. The
columns are described in `schemas.rows`. Opening files and writing rows is `runner.database.store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlite_utils import Migrations

from . import m001_initial

if TYPE_CHECKING:
    from sqlite_utils.db import Database

migrations = Migrations("vlmsweep")


@migrations(name="m001_initial")
def initial(db: Database) -> None:
    """The schema of the first release."""
    for statement in m001_initial.statements():
        db.execute(statement)
