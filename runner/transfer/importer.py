"""Imports files from elsewhere: bundles and whole databases, into the history.

A file is read into a fresh history, checked there, and merged; only then come its images and
logs. Errors are reported before anything here is changed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..database import merge
from ..database.store import Store
from ..errors import DatabaseError
from ..system.read_file import UnreadableFileError, open_regular
from ..text.sanitize import display_path
from . import ExchangeError, bundle_reader, database_source, import_files, staging


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of importing one file."""

    path: Path
    sweeps: list[merge.MergeResult]
    files: import_files.ImportedFiles


def import_all(
    database: Path, paths: Sequence[Path]
) -> tuple[list[ImportResult], ExchangeError | None]:
    """Merges files into a database, those that can be used, and the error that names the others.

    Raises DatabaseError when it is our database that cannot be used.
    """
    done, failed = [], []
    store = Store(database)
    try:
        for path in paths:
            try:
                done.append(import_file(store, path))
            except ExchangeError as error:
                failed.append(error)
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{database} failed: {error}", hint="check the disk, then import again"
        ) from error
    finally:
        store.close()
    if not failed:
        return done, None
    hint = next((error.hint for error in failed if error.hint), None)
    return done, ExchangeError("\n".join(error.message for error in failed), hint=hint)


def import_file(store: Store, path: Path) -> ImportResult:
    """Merges a bundle or a database into `store`. Raises ExchangeError if it is unusable."""
    try:
        source = detect_source(path)
        try:
            return merge_source(store, path, source)
        finally:
            source.close()
    except ExchangeError as error:
        text = f"{display_path(path)} was not imported: {error.message}"
        raise ExchangeError(text, hint=error.hint) from error


def detect_source(path: Path) -> import_files.Source:
    """The file as what its first bytes say it is."""
    try:
        with open_regular(path) as file:
            head = file.read(16)
    except UnreadableFileError as error:
        raise ExchangeError(f"it cannot be read: {error}") from error
    if head == database_source.HEAD:
        return database_source.DatabaseSource(path)
    if head.startswith(bundle_reader.HEAD):
        return bundle_reader.BundleSource(path)
    raise ExchangeError("it is neither a bundle nor a database of vlmsweep")


def merge_source(store: Store, path: Path, source: import_files.Source) -> ImportResult:
    """The rows, then the files."""
    if path.exists() and store.path.exists() and path.samefile(store.path):
        raise ExchangeError("it is the database to import into")
    with tempfile.TemporaryDirectory(prefix="import-", dir=store.folder("incoming")) as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < source.size():
            raise ExchangeError(f"no disk space left in the folder of {store.path} to read it")
        staging.check_schema(source.schema())
        db = staging.create_staging(folder / "history.db")
        try:
            source.fill(db)
            staging.validate(db)
            import_files.rewrite_paths(db, store)
            done = merge.merge(store, folder / "history.db")
            return ImportResult(path, done, import_files.copy_files(source, db, store, folder))
        finally:
            db.close()
