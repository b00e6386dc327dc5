"""Makes a large synthetic history for measurements: sweeps with all kinds of outcomes.

Sweeps are stored by `sweep_writer.add_sweep`, runs through the store's connection, so that schema,
indexes and triggers are the real ones; only commits are fewer. `measure_history.py` measures
queries on such a history. Three prompts in four ask for a few words or a sentence, one asks for a
description.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from history_models import KINDS, Kind, failure_columns
from history_texts import QUESTIONS, Author

from runner.database.store import Store
from runner.database.sweep_writer import add_sweep
from runner.planning import expand, sweepfile
from runner.planning.plan import Plan, PlannedJob
from runner.scoring.checks import check_text
from runner.system import environment
from schemas.image import PreparedImage

BEGAN = datetime(2026, 1, 1, 22, tzinfo=UTC)
NIGHT = 12_000
BIG = 100_000
TOKENS = 100
SIGNALS = ("SIGSEGV", "SIGABRT", "SIGKILL")


def stamp(at: datetime) -> str:
    """The time as the database writes it."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


class SyntheticHistory:
    """Fills a store. The same seed and size give the same history, but for its uids."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.dice = store, random.Random(seed)
        self.author = Author(self.dice)
        self.home = Path(tempfile.mkdtemp(prefix="vlmsweep-"))
        self.number, self.at = 0, BEGAN
        self.run = self.total = 0

    def add_sweep(self, size: int) -> int:
        """Adds a sweep of about `size` jobs with its runs; returns its number."""
        began = self.at = BEGAN + timedelta(days=2 * self.number)
        images = max(1, size // (len(KINDS) * len(QUESTIONS)))
        spec = {
            "name": "nightly" if self.number % 3 else f"night-{self.number}",
            "models": [kind.name for kind in KINDS],
            "prompts": [{"name": n, "text": t, "images": "none"} for n, t in QUESTIONS.items()],
        }
        plan = expand.expand_sweep(sweepfile.validate(spec, "made up"), self.home, "made up")
        shown = [self.image(i) for i in range(images)]
        plan = with_images(plan, shown)
        with self.store.db.atomic():
            sweep = add_sweep(self.store, plan, shown, environment.supervisor_environment())
            for kind, model, todo in self.todo(sweep):
                Shift(self, sweep, kind, model).work(todo)
            row = {"created_at": stamp(began), "started_at": stamp(began), "state": "done"}
            self.store.update("sweeps", sweep, row | {"ended_at": stamp(self.at)})
        self.number += 1
        return sweep

    def image(self, number: int) -> PreparedImage:
        """One of the images; a new album every ten sweeps."""
        name = f"IMG_{number:04}.jpg"
        path = Path(f"/home/ann/photos/album-{self.number // 10}/{name}")
        key = hashlib.sha256(str(path).encode()).hexdigest()
        facts: dict[str, Any] = {"format": "JPEG", "mode": "RGB", "width": 4032, "height": 3024}
        facts |= {"prepared_sha256": key[::-1], "prepared_width": 1024, "prepared_height": 768}
        folder = Path("/home/ann/.local/share/vlmsweep/vlmsweep.db.files/images")
        return PreparedImage(
            path=path,
            source_sha256=key,
            source_bytes=2_000_000 + number,
            prepared_path=folder / f"{key[:16]}.png",
            **facts,
        )

    def todo(self, sweep: int) -> Iterator[tuple[Kind, tuple[int, int], list[tuple[int, str]]]]:
        """The sweep's models, each with its jobs and what they ask."""
        kinds = {kind.name: kind for kind in KINDS}
        models = self.store.connection.execute(
            "SELECT id, name, model_id FROM sweep_models WHERE sweep_id = ? ORDER BY id", [sweep]
        ).fetchall()
        for number, name, model in models:
            found = self.store.connection.execute(
                "SELECT jobs.id, prompts.name FROM jobs JOIN prompts ON prompts.id = prompt_id"
                " WHERE sweep_model_id = ? ORDER BY position",
                [number],
            )
            yield kinds[name], (number, model), found.fetchall()

    def versions(self) -> dict[str, str]:
        """The libraries of the current sweep; new versions every ten sweeps."""
        era = self.number // 10
        return {"torch": f"2.{7 + era // 3}.0", "transformers": f"5.{era}.0", "pillow": "13.0.0"}


def with_images(plan: Plan, images: list[PreparedImage]) -> Plan:
    """The plan, with each of its jobs for every image; the files need not exist."""
    cells = [(job, image) for job in plan.jobs for image in range(len(images))]
    made = tuple(
        PlannedJob(i, job.entry, job.prompt, (image,), 1) for i, (job, image) in enumerate(cells)
    )
    return Plan(
        plan.sweep, plan.source, plan.entries, plan.prompts, tuple(p.path for p in images), made
    )


class Shift:
    """One model's part of a sweep: workers, their runs and their memory samples."""

    def __init__(
        self, history: SyntheticHistory, sweep: int, kind: Kind, model: tuple[int, int]
    ) -> None:
        self.history, self.sweep, self.kind = history, sweep, kind
        self.store, self.dice = history.store, history.dice
        self.sweep_model, self.model = model
        self.runs: list[tuple[Any, ...]] = []
        self.latest: list[tuple[int, int]] = []
        self.checks: list[tuple[Any, ...]] = []
        self.worker: int | None = None

    def work(self, todo: list[tuple[int, str]]) -> None:
        """Runs all jobs. Some killed runs are retried, as by `resume`."""
        hopeless = self.kind.fails >= 1
        for job, question in todo:
            if self.worker is None:
                self.start(hopeless)
            outcome = self.outcome(hopeless)
            self.add(job, 1, question, outcome)
            if outcome in ("timeout", "crashed", "memory_limit"):
                self.end(outcome)
                if self.dice.random() < 0.3:
                    self.start(False)
                    self.add(job, 2, question, "ok")
        if self.worker is not None:
            self.end(None)
        self.flush()

    def outcome(self, hopeless: bool) -> str:
        """Draws the outcome of a job."""
        if hopeless:
            return "error"
        if self.dice.random() >= self.kind.fails:
            return "ok"
        share = (("timeout", 4), ("error", 3), ("crashed", 2), ("memory_limit", 1))
        return self.dice.choices([s[0] for s in share], [s[1] for s in share])[0]

    def start(self, hopeless: bool) -> None:
        """A worker, loaded unless its model cannot be."""
        number = self.store.next_worker_number(self.sweep)
        path = Path(
            f"/home/ann/.local/share/vlmsweep/vlmsweep.db.files/logs/{self.sweep}-{number}.log"
        )
        self.worker = self.store.start_worker(self.sweep_model, path, number)
        self.began = self.history.at
        row: dict[str, Any] = {"started_at": stamp(self.began), "phase": "load"}
        if not hopeless:
            seen = environment.worker_environment(self.history.versions(), "3.12.4", "Example GPU")
            load_s = self.kind.load_s * self.dice.uniform(0.9, 1.3)
            row |= {"environment_id": self.store.environment(seen), "load_s": load_s}
            row |= {"import_s": 2.1, "weights_s": load_s * 0.7, "processor_s": 0.4}
            row |= {"engine": "transformers", "device": "cuda:0", "dtype": "bfloat16"}
            row |= {"family": "generic", "model_class": "ExampleForConditionalGeneration"}
            row |= {"phase": "generate", "pid": 4000 + number, "notes": "[]"}
            self.history.at += timedelta(seconds=load_s)
        self.store.update("workers", self.worker, row)

    def end(self, outcome: str | None) -> None:
        """Ends the worker and adds its memory samples: one per second."""
        peak = self.kind.weights + self.dice.randrange(10**9)
        row: dict[str, Any] = {"ended_at": stamp(self.history.at), "peak_rss_bytes": peak}
        row |= {"peak_rss_method": "sampled rss", "peak_device_bytes": self.kind.weights}
        if outcome == "crashed":
            row["exit_signal"] = self.dice.choice(SIGNALS)
        elif outcome:
            row["killed_for"] = "memory_bytes" if outcome == "memory_limit" else "first_token_s"
            row["kill_s"] = 0.04
        self.store.update("workers", self.worker or 0, row)
        seconds = int((self.history.at - self.began).total_seconds())
        self.store.connection.executemany(
            "INSERT INTO memory_samples VALUES (?, ?, 'generate', ?, ?, ?, ?)",
            [
                (self.worker, at + 0.0123, peak - 7919 * at, peak // 3, peak // 2, peak)
                for at in range(seconds)
            ],
        )
        self.worker = None

    def add(self, job: int, attempt: int, question: str, outcome: str) -> None:
        """One attempt at a job."""
        self.history.run += 1
        self.history.total += 1
        number, began = self.history.run, self.history.at
        ttft_s = 0.2 + 8 / self.kind.tps * self.dice.uniform(0.8, 1.5)
        text, cut = self.history.author.answer(question, TOKENS)
        tokens = max(2, len(text) * 10 // 43)
        latency_s: float | None = ttft_s + tokens / self.kind.tps
        self.history.at += timedelta(seconds=latency_s or 0)
        partial: str | None = text
        failure: tuple[str | None, ...] = (None,) * 5
        if outcome != "ok":
            phase = "load" if self.kind.fails >= 1 else self.dice.choice(("prefill", "generate"))
            failure = failure_columns(outcome, phase, self.kind)
            latency_s = None
            partial = text[: len(text) // 2] if phase == "generate" else None
        ok = outcome == "ok"
        figures = (latency_s, 0.031, ttft_s, 1032, 1012, tokens, 1032 / ttft_s, self.kind.tps)
        self.runs.append(
            (number, job, attempt, self.worker, stamp(began), stamp(self.history.at), outcome)
            + failure
            + (figures if ok else (None,) * 8)
            + ("length" if cut else "stop" if ok else None, partial and partial + "<|im_end|>" * ok)
            + (text if ok else None, self.kind.weights + 7919 * number % 10**9, "sampled rss")
            + (self.kind.weights, "torch.cuda")
        )
        self.latest.append((number, job))
        seen = check_text(
            text if ok else None, partial, "length" if cut else "stop", QUESTIONS[question]
        )
        if seen is not None:
            self.checks.append((number, *astuple(seen)))
        if len(self.runs) >= 5000:
            self.flush()

    def flush(self) -> None:
        """Stores the collected rows."""
        placeholders = ", ".join("?" * len(COLUMNS))
        self.store.connection.executemany(
            f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES ({placeholders})",  # noqa: S608
            self.runs,
        )
        self.store.connection.executemany(
            "UPDATE jobs SET state = 'done', latest_run_id = ? WHERE id = ?", self.latest
        )
        placeholders = ", ".join("?" * 9)
        self.store.connection.executemany(
            f"INSERT INTO checks VALUES ({placeholders})",  # noqa: S608
            self.checks,
        )
        self.runs, self.latest, self.checks = [], [], []


COLUMNS = (
    *("id", "job_id", "attempt", "worker_id", "started_at", "ended_at", "outcome"),
    *("phase", "error_class", "message", "hint", "traceback"),
    *("latency_s", "preprocess_s", "ttft_s", "input_tokens", "image_tokens", "output_tokens"),
    *("prompt_tps", "generation_tps", "finish_reason", "raw_text", "text"),
    *("peak_rss_bytes", "peak_rss_method", "peak_device_bytes", "peak_device_method"),
)


def make(store: Store, runs: int, seed: int = 7, emit: Any = None) -> SyntheticHistory:
    """Adds sweeps until there are `runs` runs; from 400,000 runs one sweep has 100,000 jobs."""
    history = SyntheticHistory(store, seed)
    sweep_size = min(NIGHT, max(64, runs // 5))
    while history.total < runs:
        big = runs >= 400_000 and history.number == 20
        history.add_sweep(BIG if big else sweep_size)
        if emit:
            emit(history)
    return history


def main() -> int:
    """Makes the file named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    if given.database.exists():
        parser.error(f"{given.database} is there already")
    store, began = Store(given.database), time.monotonic()
    try:
        made = make(store, given.runs, given.seed, lambda n: print(f"{n.total} runs", flush=True))
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        store.close()
    facts = {"runs": made.total, "sweeps": made.number, "s": round(time.monotonic() - began, 1)}
    size = given.database.stat().st_size
    print(json.dumps(facts | {"bytes": size, "bytes_per_run": round(size / made.total, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
