"""Reads a bundle: a zip that `runner.transfer.bundle_writer` wrote, or a forged one.

Nothing in it is believed: names that lead elsewhere, links, files larger than they can be and
rows of unknown shape are refused before anything is stored. No name in it becomes a file name
here.
"""

from __future__ import annotations

import json
import re
import sqlite3
import stat
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlite_utils import Database

from . import ExchangeError, staging

HEAD = b"PK\x03\x04"
FORMAT = "vlmsweep bundle"
VERSION = 1
ABOUT = "bundle.json"
MOST_MEMBERS = 500_000
LONGEST_LINE = 64 << 20
# The largest that each kind of file may be, unpacked.
LARGEST = {
    ABOUT: 16 << 20,
    "rows/": 64 << 30,
    "logs/": 16 << 20,
    "images/": 1 << 30,
    "videos/": 1 << 30,
}
# Rows compress well, but not like zeros: larger members are limited by this ratio.
RATIO, UNSUSPICIOUS = 500, 64 << 20
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class BundleManifest(BaseModel):
    """The manifest, bundle.json. `images` maps a hash to its file in the zip."""

    model_config = ConfigDict(strict=True, frozen=True)

    format: str
    version: int
    vlmsweep: str
    schema_: list[str] = Field(alias="schema", max_length=1000)
    sweep: str
    images: dict[str, str]


class BundleSource:
    """A bundle that was opened and checked. Raises ExchangeError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except BROKEN as error:
            raise ExchangeError(f"not a valid zip file (truncated?): {error}") from error
        try:
            self.members = validate_members(self.zip, path.stat().st_size)
            self.about = self.describe()
        except BROKEN as error:
            self.close()
            raise ExchangeError(f"it is damaged: {error}") from error
        except ExchangeError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self.zip.close()

    def describe(self) -> BundleManifest:
        """Returns its manifest."""
        if ABOUT not in self.members:
            raise ExchangeError(
                f"not a bundle: {ABOUT} is missing", hint="vlmsweep export --bundle makes one"
            )
        try:
            manifest = json.loads(self.zip.read(ABOUT))
            if manifest.get("format") == FORMAT and manifest.get("version", 0) > VERSION:
                raise ExchangeError("it was written by a newer vlmsweep", hint="upgrade vlmsweep")
            about = BundleManifest.model_validate(manifest)
        except (ValidationError, ValueError, AttributeError, TypeError, RecursionError):
            raise ExchangeError(f"its {ABOUT} is not what it should be") from None
        if about.format != FORMAT:
            raise ExchangeError("it is some other program's bundle")
        return about

    def schema(self) -> list[str]:
        """The migrations that its rows have had."""
        return self.about.schema_

    def size(self) -> int:
        """Bytes that it takes unpacked."""
        return sum(info.file_size for info in self.members.values())

    def fill(self, db: Database) -> None:
        """Its rows into a fresh history, every byte of the zip checked. Raises ExchangeError."""
        try:
            if torn := self.zip.testzip():
                raise ExchangeError(f"it is damaged: {torn} has a wrong checksum")
            with db.atomic():
                for table, columns in staging.table_columns(db).items():
                    self.copy(db, table, columns)
        except BROKEN as error:
            raise ExchangeError(f"it is damaged: {error}") from error
        except sqlite3.Error as error:
            raise ExchangeError(f"its rows break the schema's rules: {error}") from error
        if db.execute("SELECT uid FROM sweeps").fetchall() != [(self.about.sweep,)]:
            raise ExchangeError("it does not hold the one sweep that it names")

    def copy(self, db: Database, table: str, columns: list[str]) -> None:
        """A table's rows, all of the same columns."""
        with closing(self.rows(table)) as rows:
            first = next(rows, None)
            if first is None:
                return
            names = list(first)
            if strange := set(names) - set(columns):
                raise ExchangeError(f"its {table} have a column {min(strange)!r}, which is unknown")

            def values() -> Iterator[list[Any]]:
                for row in chain([first], rows):
                    if list(row) != names:
                        raise ExchangeError(f"its {table} differ in their columns")
                    yield list(row.values())

            placeholders = ", ".join("?" * len(names))
            into = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({placeholders})"  # noqa: S608
            try:
                db.conn.executemany(into, values())
            except (UnicodeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
                raise ExchangeError(f"its {table} hold values that are none") from None

    def rows(self, table: str) -> Generator[dict[str, Any], None, None]:
        """A table's rows, a JSON object a line."""
        name = f"rows/{table}.jsonl"
        if name not in self.members:
            return
        with self.zip.open(name) as file:
            while line := file.readline(LONGEST_LINE):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise ExchangeError(f"its {table} are not lines of JSON") from None
                if not isinstance(row, dict) or not row:
                    raise ExchangeError(f"its {table} are not JSON objects")
                yield row

    def image(self, digest: str) -> zipfile.ZipInfo | None:
        """The prepared image with this hash, or None."""
        return self.members.get(self.about.images.get(digest, ""))

    def log(self, uid: str, number: int) -> zipfile.ZipInfo | None:
        """A worker's log, or None."""
        return self.members.get(f"logs/worker-{number}.log") if uid == self.about.sweep else None


def validate_members(zip: zipfile.ZipFile, packed: int) -> dict[str, zipfile.ZipInfo]:
    """The files of a bundle by name, folders and strange names left out. Raises ExchangeError."""
    infos = zip.infolist()
    if len(infos) > MOST_MEMBERS:
        raise ExchangeError(f"it holds {len(infos)} files, more than a bundle can")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if reason := unsafe_reason(info):
            raise ExchangeError(f"it holds {info.filename[:80]!r}, {reason}")
        if info.filename in members:
            raise ExchangeError(f"it holds {info.filename[:80]!r} twice")
        if not info.is_dir() and any(info.filename.startswith(kind) for kind in LARGEST):
            members[info.filename] = info
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(UNSUSPICIOUS, RATIO * packed):
        raise ExchangeError(f"it would unpack to {unpacked} bytes: that is a bomb, not a bundle")
    return members


def unsafe_reason(info: zipfile.ZipInfo) -> str | None:
    """Returns the reason to refuse a member, or None."""
    name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or device"
    if info.flag_bits & 1:
        return "which is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed in a way that bundles are not"
    # orig_filename: the name before zipfile normalized it.
    if not name.isprintable() or "\\" in name or info.orig_filename != name:
        return "which is not a plain name"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        return "which leads out of it"
    for start, most in LARGEST.items():
        if name.startswith(start) and info.file_size > most:
            return "which is larger than it can be"
    return None
