"""Records one run: updates its row as events arrive and emits stream events after commit."""

from __future__ import annotations

import json
from typing import cast

from schemas import stream
from schemas.events import FirstToken, RunFinished, Text
from schemas.rows import Runs
from schemas.states import Outcome
from schemas.stream import EventSink as EventSink

from ..database.store import Store
from ..planning.seeds import generation_of_repeat
from . import interference
from .memory_tracker import PeakMemory
from .queue import QueuedJob, QueuedModel

KEEP_TEXT_EVERY_S = 0.2

FIGURES = (
    "latency_s",
    "preprocess_s",
    "ttft_s",
    "input_tokens",
    "image_tokens",
    "image_tiles",
    "output_tokens",
    "prompt_tps",
    "generation_tps",
    "finish_reason",
    "raw_text",
    "text",
    "reasoning",
    "waited_s",
)
STREAM_FIELDS = (
    "outcome",
    "phase",
    "error_class",
    "message",
    "hint",
    "text",
    "finish_reason",
    "latency_s",
    "ttft_s",
    "input_tokens",
    "image_tokens",
    "output_tokens",
    "prompt_tps",
    "generation_tps",
    "peak_rss_bytes",
    "peak_device_bytes",
)


class RunRecorder:
    """One attempt at a job, from the insert of its row to its outcome.

    `worker` is the worker's row, `number` its number in the sweep; both None without one.
    """

    def __init__(
        self,
        store: Store,
        emit: EventSink,
        model: QueuedModel,
        job: QueuedJob,
        worker: int | None = None,
        number: int | None = None,
    ) -> None:
        self.store, self.emit = store, emit
        self.model, self.job, self.number = model, job, number
        self.generation = generation_of_repeat(model.generation, job.repeat)
        self.id = store.start_run(job.id, worker, self.generation.seed if worker else None)
        self.pieces: list[str] = []
        self.so_far: Runs = {}
        self.kept_at = float("-inf")

    def announce(self, number: int) -> None:
        """Emit that the run was sent to a worker."""
        (attempt,) = self.store.connection.execute(
            "SELECT attempt FROM runs WHERE id = ?", [self.id]
        ).fetchone()
        self.emit(
            stream.RunStarted(
                run=self.id,
                job=self.job.id,
                worker=number,
                model=self.model.name,
                image=self.job.image,
                prompt=self.job.prompt,
                repeat=self.job.repeat,
                attempt=attempt,
            )
        )

    def first_token(self, event: FirstToken) -> None:
        """Record the first visible text."""
        row = {
            "ttft_s": event.ttft_s,
            "preprocess_s": event.preprocess_s,
            "input_tokens": event.input_tokens,
            "image_tokens": event.image_tokens,
        }
        self.store.update("runs", self.id, row)
        self.emit(
            stream.RunFirstToken(
                run=self.id,
                ttft_s=event.ttft_s,
                input_tokens=event.input_tokens,
                image_tokens=event.image_tokens,
            )
        )

    def text(self, event: Text, now: float) -> None:
        """Record text: committed at intervals of KEEP_TEXT_EVERY_S, and with the outcome."""
        self.pieces.append(event.text)
        self.so_far = {"output_tokens": event.output_tokens}
        if now - self.kept_at >= KEEP_TEXT_EVERY_S:
            self.kept_at = now
            self.store.update("runs", self.id, self.partial())
        self.emit(stream.RunText(run=self.id, text=event.text))

    def partial(self) -> Runs:
        """Return the columns of an unfinished answer."""
        if not self.pieces:
            return self.so_far.copy()
        return self.so_far | {"raw_text": "".join(self.pieces)}

    def finish(self, event: RunFinished, peak: PeakMemory) -> None:
        """Record the worker's answer, with its peak memory."""
        row = cast(Runs, {name: getattr(event, name) for name in FIGURES})
        row["outcome"] = Outcome.OK
        notes = [*event.notes, *self.nondeterminism_notes(event.raw_text)]
        row["notes"] = json.dumps(notes) if notes else None
        row["transcript"] = json.dumps(event.transcript) if event.transcript else None
        peak.device_at_least(event.peak_device_bytes, event.peak_device_method)
        self.end(row, peak)

    def nondeterminism_notes(self, raw_text: str) -> list[str]:
        """Return a note if greedy decoding gave another text than in the job's first repeat."""
        if self.model.generation.do_sample or self.job.repeat == 1:
            return []
        first = self.store.first_repeat(self.job.id)
        if first is None or first[1] == raw_text:
            return []
        return [f"nondeterministic: greedy, and yet another text than run {first[0]} gave"]

    def fail(
        self,
        verdict: Runs,
        peak: PeakMemory | None = None,
        again: bool = False,
        variant: int | None = None,
    ) -> None:
        """Record any other end; text received so far is kept.

        With `again` the job is queued again, with the fallback `variant` if one is given.
        """
        self.end(self.partial() | verdict, peak or PeakMemory(), again, variant)

    def end(
        self, row: Runs, peak: PeakMemory, again: bool = False, variant: int | None = None
    ) -> None:
        """Commit the outcome, then emit it."""
        row |= {
            "peak_rss_bytes": peak.rss,
            "peak_rss_method": peak.method,
            "peak_device_bytes": peak.device,
            "peak_device_method": peak.device_method,
            "peak_swap_bytes": peak.swap,
        }
        row |= peak.interference
        slept = peak.interference.get("slept_s")
        added = [*self.job.image_notes, *interference.interference_notes(slept, "this run")]
        if added:
            row["notes"] = json.dumps([*json.loads(row.get("notes") or "[]"), *added])
        self.store.finish_run(self.id, row, again, variant)
        self.emit(
            stream.RunFinished(
                run=self.id,
                job=self.job.id,
                worker=self.number,
                model=self.model.name,
                image=self.job.image,
                prompt=self.job.prompt,
                repeat=self.job.repeat,
                will_retry=again,
                **{name: row.get(name) for name in STREAM_FIELDS},  # type: ignore[arg-type]
            )
        )
