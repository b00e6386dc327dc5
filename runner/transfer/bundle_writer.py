"""Writes one sweep as a bundle: a zip with all its rows, images, logs and a file to run it again.

The same sweep gives the same bytes in every database: rows are renumbered and the zip holds no
times. Running jobs are left out. `runner.transfer.bundle_reader` reads bundles.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
from sqlite_utils import Database

from schemas.shared.redact import MARGIN_BYTES, redact_head

from .. import __version__
from ..database import MIGRATIONS, merge
from ..database.merge.tables import TABLES
from ..text.sanitize import one_line
from . import bundle_images, database_source, staging
from .bundle_reader import ABOUT, FORMAT, VERSION
from .export_file import open_export_file
from .import_files import MOST_LOG_BYTES
from .pinned_sweep import PinnedSweep, pin

README = """\
# A sweep of vlmsweep

    vlmsweep import BUNDLE.zip      adds it to your own history
    vlmsweep run sweep.yaml         runs it again, in the unpacked bundle

- `rows/`: every table as JSON lines; `vlmsweep help results` defines each column
- `images/`: the images as every model got them: upright, RGB, shrunk
- `logs/`: what workers and their libraries printed
- `environments.json`: where it ran
- `sweep.yaml`: the same jobs, pinned to what ran
"""


@dataclass(frozen=True, slots=True)
class BundleCounts:
    """The contents of a bundle. `runs_again` is False when it has no sweep file.

    `left_out` lists the parts that the sweep file cannot repeat, a line each.
    """

    runs: int
    images: int
    logs: int
    runs_again: bool
    left_out: list[str]


@dataclass(frozen=True, slots=True)
class BundleResult:
    """A bundle that was written, its size in bytes, and its contents."""

    path: Path
    bytes: int
    counts: BundleCounts


def write_bundle(database: Path, uid: str, path: Path, *, images: bool = True) -> BundleResult:
    """Writes the sweep with this uid to `path`. Raises ExchangeError."""
    with tempfile.TemporaryDirectory(prefix="vlmsweep-export-") as name:
        db = gather(database, uid, Path(name))
        with closing(db.conn), open_export_file(path, database) as file, ZipWriter(file) as packer:
            counts = pack(db, packer, images)
    return BundleResult(path, path.stat().st_size, counts)


def gather(database: Path, uid: str, folder: Path) -> Database:
    """Returns a separate database with only this sweep, with ids from 1."""
    with closing(database_source.DatabaseSource(database)) as source:
        staging.check_schema(source.schema())
    db = staging.create_staging(folder / "bundle.db")
    with merge.attached(db.conn, database_source.read_only(database), str(database)):
        merge.merge_attached(db, [uid], waiting=True)
    return db


class ZipWriter:
    """A zip that is the same whenever it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)

    def __enter__(self) -> ZipWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.zip.close()

    def info(self, name: str, packed: bool = True) -> zipfile.ZipInfo:
        """A member's head, without a time."""
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, 0o100644 << 16
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        return info

    def text(self, name: str, text: str) -> None:
        """A member from a text."""
        self.zip.writestr(self.info(name), text.encode())

    def lines(self, name: str, values: Iterable[Any]) -> int:
        """A member of JSON lines; how many."""
        count = 0
        with self.zip.open(self.info(name), "w", force_zip64=True) as out:
            for count, value in enumerate(values, start=1):  # noqa: B007
                out.write(json.dumps(value).encode() + b"\n")
        return count

    def file(self, name: str, path: Path) -> None:
        """A member from a file that is compressed already."""
        with path.open("rb") as file, self.zip.open(self.info(name, packed=False), "w") as out:
            shutil.copyfileobj(file, out)


def pack(db: Database, packer: ZipWriter, images: bool) -> BundleCounts:
    """Everything into the zip."""
    found = bundle_images.collect_images(db) if images else bundle_images.original_paths(db)
    again = pin(db, found.of_row)
    (uid,) = db.execute("SELECT uid FROM sweeps").fetchone()
    about = {"format": FORMAT, "version": VERSION, "vlmsweep": __version__, "schema": MIGRATIONS}
    about |= {"sweep": uid, "images": found.of_digest}
    packer.text(ABOUT, json.dumps(about, indent=1) + "\n")
    packer.text("README.md", README)
    if again is not None:
        packer.text("sweep.yaml", sweep_file(db, again))
        if again.answers:
            packer.lines("answers.jsonl", again.answers)
    packer.text("environments.json", environments(db))
    logs = pack_logs(db, packer)
    bundle_images.rewrite_paths(db, found)
    runs = pack_rows(db, packer)
    for name, path in found.files.items():
        packer.file(name, path)
    left_out = again.left_out if again else []
    return BundleCounts(runs, len(found.files), logs, again is not None, left_out)


def sweep_file(db: Database, again: PinnedSweep) -> str:
    """The pinned sweep as YAML, with its machine and its omissions in comments."""
    uid, name = db.execute("SELECT uid, name FROM sweeps").fetchone()
    head = [f"{one_line(name)} ({uid})" if name else uid]
    head[0] = f"The sweep {head[0]}, pinned to what ran. Again: vlmsweep run sweep.yaml"
    head += ["", "It ran:", *(f"  {line}" for line in again.ran)]
    if again.left_out:
        head += ["", "Left out:", *(f"  {line}" for line in again.left_out)]
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head)
    return comment + "\n" + yaml.safe_dump(again.data, sort_keys=False, allow_unicode=True)


def environments(db: Database) -> str:
    """The machines and versions, as comment lines."""
    rows = [dict(row) for row in db.query("SELECT * FROM environments ORDER BY id")]
    for row in rows:
        row["packages"] = json.loads(row["packages"])
    return json.dumps(rows, indent=1) + "\n"


def pack_logs(db: Database, packer: ZipWriter) -> int:
    """The workers' logs, secrets kept out; their rows name them by their place in the zip."""
    count = 0
    for row, number, path in db.execute("SELECT id, number, log_path FROM workers").fetchall():
        name = f"logs/worker-{number}.log"
        db.execute("UPDATE workers SET log_path = ? WHERE id = ?", [name, row])
        try:
            text = redact_head(read_start(Path(path)), MOST_LOG_BYTES)
        except OSError:
            continue
        packer.text(name, text)
        count += 1
    return count


def read_start(path: Path) -> bytes:
    """As much of a log as is packed, and a margin to redact in. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MOST_LOG_BYTES + MARGIN_BYTES)


def pack_rows(db: Database, packer: ZipWriter) -> int:
    """Packs all tables; returns the number of runs."""
    counts = {}
    columns = staging.table_columns(db)
    for table in TABLES:
        order = ", ".join(table.keys) if table.bare else "id"
        names = ", ".join(columns[table.name])
        rows = db.query(f"SELECT {names} FROM {table.name} ORDER BY {order}")  # noqa: S608
        counts[table.name] = packer.lines(f"rows/{table.name}.jsonl", rows)
    return counts["runs"]
