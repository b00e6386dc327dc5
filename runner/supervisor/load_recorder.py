"""Records a worker's load: updates its row and emits events.

Time limits are in `runner.supervisor.deadlines`.
"""

from __future__ import annotations

from schemas import events, stream
from schemas.rows import Runs
from schemas.stream import EventSink

from ..database.store import Store
from ..system import environment
from ..system.timestamps import utc_now
from . import outcome

LOADED = (
    "engine",
    "family",
    "model_class",
    "processor_class",
    "device",
    "dtype",
    "dtype_reason",
    "attention",
    "parameters",
    "load_s",
    "import_s",
    "weights_s",
    "processor_s",
    "waited_s",
)


class LoadRecorder:
    """The load of one worker; `row` is the worker's id in the database."""

    def __init__(self, store: Store, emit: EventSink, model: str, row: int, number: int) -> None:
        self.store, self.emit = store, emit
        self.model, self.row, self.number = model, row, number
        self.python = ""
        self.download_s: float | None = None
        self.waits = False

    def on_start_failure(self, error: OSError) -> Runs:
        """The process could not be created; return the failure as columns of a run."""
        row = outcome.start_failure(error)
        failure = outcome.columns_of_failed_load(row)
        self.store.update("workers", self.row, failure | {"ended_at": utc_now()})
        return row

    def progress(self, event: events.Progress) -> None:
        """A download or a load progresses."""
        self.emit(
            stream.WorkerProgress(
                worker=self.number,
                model=self.model,
                phase=event.phase,
                message=event.message,
                done=event.done,
                total=event.total,
                unit=event.unit,
            )
        )

    def waiting(self, event: events.Waiting) -> None:
        """The model's server cannot answer now."""
        self.waits = True
        self.store.update("workers", self.row, {"waiting_for": event.reason})
        self.emit(
            stream.WorkerWaiting(
                worker=self.number,
                model=self.model,
                run=event.run,
                server_state=event.server_state,
                reason=event.reason,
                attempt=event.attempt,
                retry_in_s=event.retry_in_s,
                waited_s=event.waited_s,
            )
        )

    def answered(self) -> None:
        """The model's server answers again, or the wait was given up."""
        if self.waits:
            self.waits = False
            self.store.update("workers", self.row, {"waiting_for": None})
            self.emit(stream.WorkerWaiting(worker=self.number, model=self.model))

    def load_failed(self, event: events.Error) -> None:
        """The worker could not load the model; it exits by itself."""
        self.answered()
        if event.waited_s:
            self.store.update("workers", self.row, {"waited_s": event.waited_s})

    def fetched(self, event: events.Fetched) -> None:
        """The model's files are complete."""
        self.download_s = event.download_s
        self.store.set_resolved_model(self.row, event)

    def loaded(self, event: events.Loaded) -> None:
        """The model is loaded."""
        facts = environment.worker_environment(event.versions, self.python, event.device_name)
        row = {name: getattr(event, name) for name in LOADED}
        row["environment_id"] = self.store.environment(facts)
        self.store.update("workers", self.row, row)
        self.emit(
            stream.WorkerLoaded(
                worker=self.number,
                model=self.model,
                engine=event.engine,
                device=event.device,
                dtype=event.dtype,
                load_s=event.load_s,
                download_s=self.download_s,
            )
        )
