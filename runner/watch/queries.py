"""The watcher's SQL: by index only, so that it stays cheap with a million runs.

Plain SQL on a read-only connection; `runner.watch.follower` interprets the rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from schemas.states import Outcome

from ..system.timestamps import seconds_since

Row = sqlite3.Row
BATCH = 2000

# `state <> 'done'` must be written as in the index, or the index is not used.
OPEN = "SELECT id, state FROM sweeps WHERE state <> 'done'"
SWEEP = """
SELECT id, uid, name, state, in_queue, created_at, started_at, ended_at FROM sweeps WHERE id = ?
"""
VARIANTS_SQL = """
SELECT variants.id, variants.fallback_of, variants.name, variants.engine, models.location
FROM sweep_models AS variants JOIN models ON models.id = variants.model_id
WHERE variants.sweep_id = ? ORDER BY variants.position, variants.id
"""
JOBS = "SELECT count(*) FROM jobs WHERE sweep_model_id = ?"
WAITING = """
SELECT count(*) FROM jobs WHERE ifnull(fallback_id, sweep_model_id) = ? AND state = 'queued'
"""
RUNNING = """
SELECT latest_run_id, sweep_model_id FROM jobs
WHERE state = 'running' AND state <> 'done' AND sweep_id = ?
"""
NOT_OK = """
SELECT jobs.sweep_model_id, runs.outcome, count(*) FROM runs INDEXED BY runs_outcome
CROSS JOIN jobs ON jobs.id = runs.job_id
WHERE runs.outcome <> 'ok' AND jobs.sweep_id = ? AND jobs.state = 'done'
    AND jobs.latest_run_id = runs.id
GROUP BY 1, 2
"""
WORKER = """
SELECT id, number, sweep_model_id, pid, started_at, ended_at, engine, device, dtype, load_s,
    download_s, exit_code, exit_signal, killed_for, kill_s, peak_rss_bytes, message, phase,
    log_path, waiting_for
FROM workers WHERE
"""
SAMPLE = "SELECT at_s, phase, rss_bytes, device_bytes FROM memory_samples WHERE worker_id = ?"
SAMPLES = f"{SAMPLE} AND at_s > ? ORDER BY at_s"
PEAK = "SELECT max(rss_bytes) FROM memory_samples WHERE worker_id = ?"
LATELY = """
SELECT started_at, ended_at FROM runs WHERE ended_at IS NOT NULL AND worker_id = (SELECT id
    FROM workers WHERE sweep_model_id = ? AND load_s IS NOT NULL ORDER BY id DESC LIMIT 1)
ORDER BY id DESC LIMIT 20
"""
LAST_MESSAGE = "SELECT message FROM runs WHERE worker_id = ? ORDER BY id DESC LIMIT 1"
RUN = """
SELECT runs.id, runs.job_id, runs.attempt, runs.worker_id, runs.started_at, runs.outcome,
    runs.phase, runs.error_class, runs.message, runs.hint, runs.text, runs.raw_text,
    runs.finish_reason, runs.latency_s, runs.ttft_s, runs.input_tokens, runs.image_tokens,
    runs.output_tokens, runs.prompt_tps, runs.generation_tps, runs.peak_rss_bytes,
    runs.peak_device_bytes, jobs.sweep_id, jobs.sweep_model_id, jobs.repeat,
    jobs.state = 'done' AND jobs.latest_run_id = runs.id AS settled,
    ifnull(prompts.name, prompts.text) AS prompt,
    (SELECT group_concat(name, ', ') FROM (SELECT images.name FROM job_images
        JOIN images ON images.id = job_images.image_id
        WHERE job_images.job_id = jobs.id ORDER BY job_images.position)) AS image
FROM runs CROSS JOIN jobs ON jobs.id = runs.job_id
CROSS JOIN prompts ON prompts.id = jobs.prompt_id WHERE
"""


class WatchQueries:
    """Queries over a replaceable connection; rows are sqlite3.Row."""

    connection: sqlite3.Connection

    def connect(self, connection: sqlite3.Connection) -> None:
        """Use this connection from now on."""
        self.connection = connection

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Run the queries of the block on one snapshot."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                self.connection.execute("COMMIT")

    def all(self, sql: str, *values: Any) -> list[Row]:
        """Return all rows."""
        cursor = self.connection.cursor()
        cursor.row_factory = sqlite3.Row  # the connection may be another's too
        return cursor.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        """Return the first value of the first row."""
        return self.connection.execute(sql, values).fetchone()[0]

    def open_sweeps(self) -> dict[int, str]:
        """The sweeps that are not done, with their states."""
        return {row["id"]: row["state"] for row in self.all(OPEN)}

    def sweep(self, sweep: int) -> Row | None:
        """A sweep's row; None when it is gone."""
        return next(iter(self.all(SWEEP, sweep)), None)

    def sweep_of(self, uid: str | None) -> Row | None:
        """The same by its uid."""
        return next(iter(self.all(SWEEP.replace("id = ?", "uid = ?"), uid)), None)

    def unusable_images(self, sweep: int) -> int:
        """The number of a sweep's jobs that did not run because an image could not be read."""
        return int(
            self.one(
                "SELECT ifnull(sum(unusable_images), 0) FROM summary WHERE sweep_id = ?", sweep
            )
        )

    def newest_run(self) -> int:
        """The number of the newest run, 0 when there is none."""
        return int(self.one("SELECT ifnull(max(id), 0) FROM runs"))

    def new_runs(self, after: int) -> list[Row]:
        """Runs after a number, oldest first, at most BATCH."""
        return self.all(f"{RUN} runs.id > ? ORDER BY runs.id LIMIT {BATCH}", after)

    def runs(self, ids: Iterable[int]) -> list[Row]:
        """Some runs, by their numbers."""
        return [row for id in ids for row in self.all(f"{RUN} runs.id = ?", id)]

    def workers(self, ids: Iterable[int]) -> list[Row]:
        """Some workers, by their row numbers."""
        return [row for id in list(ids) for row in self.all(f"{WORKER} id = ?", id)]

    def new_workers(self, sweep: int, after: int) -> list[Row]:
        """A sweep's workers after a number, oldest first."""
        return self.all(f"{WORKER} sweep_id = ? AND number > ? ORDER BY number", sweep, after)

    def newest_worker(self, sweep: int) -> int:
        """The number of a sweep's newest worker, 0 when there is none."""
        return int(self.one("SELECT ifnull(max(number), 0) FROM workers WHERE sweep_id = ?", sweep))

    def open_workers(self, sweep: int) -> list[Row]:
        """A sweep's workers that live."""
        return self.all(f"{WORKER} sweep_id = ? AND ended_at IS NULL ORDER BY number", sweep)

    def samples(self, worker: int, after_s: float) -> list[Row]:
        """A worker's memory after a moment of its life; at first what matters of all of it."""
        if after_s < 0:
            newest = self.all(f"{SAMPLES} DESC LIMIT 1", worker, after_s)
            return [*self.all(f"{SAMPLE} AND rss_bytes = ({PEAK})", worker, worker)[:1], *newest]
        return self.all(SAMPLES, worker, after_s)

    def pace(self, variant: int) -> float | None:
        """Seconds from run to run lately, in the newest worker of a way to load a model."""
        times = self.all(LATELY, variant)
        if not times:
            return None
        return seconds_since(times[-1]["started_at"], times[0]["ended_at"]) / len(times)

    def last_message(self, worker: int) -> str | None:
        """Return the message of a worker's last run."""
        found = self.all(LAST_MESSAGE, worker)
        return found[0]["message"] if found else None

    def running(self, sweep: int) -> list[int]:
        """Return the current runs of a sweep."""
        return [row[0] for row in self.all(RUNNING, sweep) if row[0] is not None]

    def count(
        self, sweep: int, variants: list[Row]
    ) -> tuple[dict[int, int], dict[int, dict[str, int]]]:
        """Jobs by model of a sweep, and of those done how many by outcome."""
        firsts = [variant["id"] for variant in variants if variant["fallback_of"] is None]
        jobs = {first: int(self.one(JOBS, first)) for first in firsts}
        ok = dict(jobs)
        for variant in variants:
            ok[variant["fallback_of"] or variant["id"]] -= int(self.one(WAITING, variant["id"]))
        for _, first in self.all(RUNNING, sweep):
            ok[first] -= 1
        outcomes: dict[int, dict[str, int]] = {first: {} for first in firsts}
        for first, outcome, count in self.all(NOT_OK, sweep):
            outcomes[first][outcome] = count
            ok[first] -= count
        for first, count in ok.items():
            if count:
                outcomes[first][Outcome.OK] = count
        return jobs, outcomes
