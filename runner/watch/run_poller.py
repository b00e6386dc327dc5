"""Emits events for a sweep's runs: start, text, outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from schemas import stream
from schemas.states import Outcome, Phase
from schemas.stream import EventSink

from ..system.timestamps import seconds_since
from .job_counts import JobCounts
from .queries import Row, WatchQueries
from .worker_poller import WorkerPoller

NEVER_BEGAN = (Phase.PREPARE, Phase.START, Phase.DOWNLOAD, Phase.LOAD)
STREAM_FIELDS = {one.name for one in fields(stream.RunFinished)}


@dataclass(slots=True)
class TrackedRun:
    """A current run, and the part of it that was emitted."""

    first_token: bool = False
    text: str = ""


@dataclass(slots=True)
class RunPoller:
    """The runs of one sweep."""

    questions: WatchQueries
    emit: EventSink
    uid: str
    counts: JobCounts
    workers: WorkerPoller
    in_hand: dict[int, TrackedRun] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)

    def join(self) -> None:
        """Emit the current runs."""
        self.take(self.questions.runs(self.questions.running(self.counts.sweep)))

    def look(self) -> None:
        """Emit changes of the current runs."""
        self.take(self.questions.runs(list(self.in_hand)))

    def take(self, rows: Iterable[Row]) -> None:
        """Emit new runs, and changes of current ones."""
        cancelled: Counter[str] = Counter()
        for row in rows:
            given_up = row["outcome"] == Outcome.SKIPPED and row["error_class"] == "cancelled"
            if given_up and row["worker_id"] is None:
                cancelled[self.counts.model(row["sweep_model_id"])] += 1
                continue
            seen = self.in_hand.pop(row["id"], None)
            if seen is None:
                seen = TrackedRun()
                if row["worker_id"] is not None and row["phase"] not in NEVER_BEGAN:
                    self.started(row)
            self.emit_text(seen, row)
            if row["outcome"] is None:
                self.in_hand[row["id"]] = seen
            else:
                self.finished(row)
        for model, jobs in cancelled.items():
            self.counts.add(model, Outcome.SKIPPED, jobs)
            self.emit(stream.JobsCancelled(sweep=self.uid, model=model, jobs=jobs))

    def started(self, row: Row) -> None:
        """Emit that a run has started."""
        self.emit(
            stream.RunStarted(
                sweep=self.uid,
                run=row["id"],
                job=row["job_id"],
                worker=self.workers.number(row["worker_id"]) or 0,
                model=self.counts.model(row["sweep_model_id"]),
                image=row["image"],
                prompt=row["prompt"],
                repeat=row["repeat"],
                attempt=row["attempt"],
                elapsed_s=seconds_since(row["started_at"]),
            )
        )

    def emit_text(self, seen: TrackedRun, row: Row) -> None:
        """Emit a run's first token and new text."""
        if not seen.first_token and row["ttft_s"] is not None:
            seen.first_token = True
            self.emit(
                stream.RunFirstToken(
                    sweep=self.uid,
                    run=row["id"],
                    ttft_s=row["ttft_s"],
                    input_tokens=row["input_tokens"],
                    image_tokens=row["image_tokens"],
                )
            )
        raw = row["raw_text"] or ""
        if raw.startswith(seen.text) and (piece := raw[len(seen.text) :]):
            seen.text = raw
            self.emit(stream.RunText(sweep=self.uid, run=row["id"], text=piece))

    def finished(self, row: Row) -> None:
        """Emit a run's outcome; the job is done unless it is retried."""
        model = self.counts.model(row["sweep_model_id"])
        if row["error_class"] == "quarantined" and model not in self.given_up:
            self.given_up.add(model)
            left, why = self.counts.left(model), row["message"]
            self.emit(stream.Quarantined(sweep=self.uid, model=model, jobs=left, message=why))
        if row["settled"]:
            self.counts.add(model, row["outcome"])
        self.emit(
            stream.RunFinished(
                sweep=self.uid,
                run=row["id"],
                job=row["job_id"],
                worker=self.workers.number(row["worker_id"]),
                model=model,
                will_retry=not row["settled"],
                **{name: row[name] for name in STREAM_FIELDS & set(row.keys())},
            )
        )
