"""A sweep as flat rows: one for each run, with its job, model, worker and environment.

For other programs: every attempt is a row, whether it ended well or not, and nothing is rounded.
The columns are those of `docs/results.md`; where two tables have one of the same name, the run's
keeps it and the other's is prefixed. Bundles, which can be imported again, are
written by `runner.transfer.bundle_writer`.
"""

from __future__ import annotations

import io
import json
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from schemas.rows import TABLES

from ..database.reader import Reader
from ..view.formats import write_csv, write_json
from ..view.grid import Grid
from . import ExchangeError
from .export_file import open_export_file

# Columns of the run itself come from its table: later versions have more of them.
# Formats by the suffix of a file name; a bundle is written by runner.transfer.bundle_writer.
SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".zip": "bundle",
}
NOT_OF_THE_RUN = {"id", "job_id", "worker_id", "attempt"}
JSON = {
    "generation",
    "images",
    "turns",
    "notes",
    "transcript",
    "scores",
    "worker_notes",
    "packages",
}
QUERY = """
SELECT
    sweeps.uid AS sweep_uid, sweeps.name AS sweep, jobs.position, runs.attempt,
    runs.id = jobs.latest_run_id AS latest,
    variants.name AS model, asked.source AS model_source, asked.location AS model_location,
    asked.revision, found.commit_hash, found.fingerprint, found.weights_bytes, variants.generation,
    (SELECT group_concat(name, ', ') FROM (SELECT images.name FROM job_images
        JOIN images ON images.id = image_id WHERE job_id = jobs.id ORDER BY position)) AS image,
    (SELECT json_group_array(json_object('name', name, 'path', path, 'kind', kind,
            'sha256', source_sha256, 'bytes', source_bytes, 'format', format, 'mode', mode,
            'width', width, 'height', height, 'orientation', orientation,
            'prepared_sha256', prepared_sha256))
        FROM (SELECT images.* FROM job_images JOIN images ON images.id = image_id
            WHERE job_id = jobs.id ORDER BY position)) AS images,
    prompts.name AS prompt_name, prompts.text AS prompt, prompts.turns, jobs.repeat,
    {runs},
    (SELECT json_group_object(metric, value) FROM scores WHERE run_id = runs.id) AS scores,
    workers.number AS worker, workers.engine, workers.family, workers.model_class,
    workers.processor_class, workers.device, workers.dtype, workers.dtype_reason,
    workers.attention, workers.parameters, workers.download_s, workers.load_s, workers.import_s,
    workers.weights_s, workers.processor_s, workers.peak_rss_bytes AS worker_peak_rss_bytes,
    workers.peak_device_bytes AS worker_peak_device_bytes, workers.killed_for, workers.kill_s,
    workers.exit_code, workers.exit_signal, workers.notes AS worker_notes,
    environments.python, environments.platform, environments.machine, environments.cpu,
    environments.cores, environments.memory_bytes, environments.accelerator, environments.packages
FROM jobs JOIN runs ON runs.job_id = jobs.id
JOIN sweeps ON sweeps.id = jobs.sweep_id
JOIN prompts ON prompts.id = jobs.prompt_id
LEFT JOIN workers ON workers.id = runs.worker_id
JOIN sweep_models AS variants ON variants.id = ifnull(workers.sweep_model_id, jobs.sweep_model_id)
JOIN models AS asked ON asked.id = variants.model_id
LEFT JOIN models AS found ON found.id = workers.model_id
LEFT JOIN environments ON environments.id = ifnull(workers.environment_id, sweeps.environment_id)
WHERE jobs.sweep_id = :sweep AND runs.outcome NOT NULL
ORDER BY jobs.position, runs.attempt
"""


def flat_rows(reader: Reader, sweep: int) -> Grid:
    """The rows of a sweep, one for each run. Raises QueryError."""
    own = [name for name in TABLES["runs"].__annotations__ if name not in NOT_OF_THE_RUN]
    names = ", ".join(f"runs.{name}" for name in own)
    answer = reader.query(QUERY.format(runs=names), {"sweep": sweep})
    return Grid(answer.names, answer.rows, ())


def types() -> dict[str, type]:
    """The columns' types as documented, so that each sweep's file has the same ones."""
    found: dict[str, type] = {"latest": int, "worker": int, "position": int}
    for table in ("environments", "models", "jobs", "workers", "runs"):
        for name, hint in typing.get_type_hints(TABLES[table]).items():
            kinds = typing.get_args(hint) or (hint,)
            prefixed = f"worker_{name}" if table == "workers" else name
            found[name] = found[prefixed] = kinds[0]
    return found


def decode_json_cells(grid: Grid) -> Grid:
    """The same with JSON inside JSON as what it is, not as text."""
    inner = [name in JSON for name in grid.keys]

    def rows() -> Iterator[list[Any]]:
        for row in grid.rows:
            yield [
                json.loads(value) if is_json and value is not None else value
                for value, is_json in zip(row, inner, strict=True)
            ]

    return Grid(grid.keys, rows(), ())


def write_rows(grid: Grid, kind: str, path: Path | None, database: Path) -> None:
    """Writes rows as jsonl, csv or parquet, to standard output without a path or for `-`.

    Raises ExchangeError.
    """
    if path is None or str(path) == "-":
        if kind == "parquet":
            raise ExchangeError("Parquet is for files", hint="name one with -o")
        as_text(grid, kind, sys.stdout)
        return
    with open_export_file(path, database) as file:
        if kind == "parquet":
            from ..view.parquet import write_parquet

            write_parquet(grid, file, types())
            return
        with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            as_text(grid, kind, text)


def as_text(grid: Grid, kind: str, stream: TextIO) -> None:
    """Rows as text."""
    if kind == "csv":
        write_csv(grid, stream, ",")
    else:
        write_json(decode_json_cells(grid), stream, lines=True)
