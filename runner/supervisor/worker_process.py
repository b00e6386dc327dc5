"""One worker process: start, memory samples, kill, final row.

It does not know models, jobs or events; `runner.supervisor.worker_controller` decides about kills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from schemas import stream
from schemas.engines import is_remote
from schemas.rows import Workers
from schemas.states import Phase
from schemas.stream import EventSink

from ..database.stale_processes import VARIABLE, read_marker
from ..database.store import Store
from ..environments.worker_command import worker_command
from ..process.event_reader import EndOfStream, LineReader
from ..process.launcher import Launcher, WorkerHandle, WorkerSpec
from ..system import host
from ..system.log import get_logger
from ..system.timestamps import utc_now
from . import interference, outcome
from .deadlines import LimitViolation
from .interference import InterferenceTracker
from .memory_tracker import MemoryTracker, PeakMemory
from .outcome import WorkerExit
from .queue import QueuedModel
from .stack_dump import StackDump

SAMPLE_EVERY_S = 0.25
STORE_SAMPLE_EVERY_S = 1.0
STACK_GRACE_S = 0.1
STACK_LOOK_S = 0.01
SHIM_TIMEOUT_S = 12.0  # a little more than the shim itself takes before it gives up

log = get_logger(__name__)


class WorkerProcess:
    """A worker's process tree and its row in `workers`."""

    def __init__(
        self,
        store: Store,
        emit: EventSink,
        clock: Callable[[], float],
        model: QueuedModel,
        row: int,
        number: int,
        log: Path,
    ) -> None:
        self.store, self.emit, self.clock = store, emit, clock
        self.model, self.row, self.number, self.log = model.name, row, number, log
        self.python, self.remote = model.python, is_remote(model.load.engine)
        self.stack = StackDump(log.with_suffix(".stack"))
        self.began = clock()
        self.memory: MemoryTracker | None = None
        self.interference = InterferenceTracker()
        self.device = PeakMemory()
        self.device_now: int | None = None
        self.ending = WorkerExit()
        self.exited = False  # the process has exited; its last output may be unread
        self.facts: Workers = {}
        self.notes: list[str] = []
        self.kill_asked: float | None = None
        self.kill_sent_at: float | None = None
        self.available = 0
        self.sampled_at = self.stored_at = float("-inf")

    def begin(self, launcher: Launcher, env: Mapping[str, str]) -> None:
        """Start the process with additional environment variables."""
        # An earlier worker may have deleted its folder.
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.oom_kills = host.oom_kills()
        argv, ours = worker_command(self.python)
        ours = {**ours, **env, VARIABLE: read_marker(self.store.connection, self.store.path)}
        spec = WorkerSpec(log=self.log, stack=self.stack.path, argv=argv, env=ours)
        self.handle: WorkerHandle = launcher.start(spec)
        self.reports = LineReader(self.handle.reports_fd)

    # Reports of the shim.

    def read_reports(self) -> bool:
        """Read the shim's reports; False when the shim has exited."""
        for line in self.reports.read():
            if isinstance(line, EndOfStream):
                return False
            if isinstance(line, bytes):
                self.report(*line.decode("utf-8", "replace").split(" "))
        return True

    def report(self, kind: str, *words: str) -> None:
        """Handle one report, as `runner.process.shim` defines them."""
        if kind == "started":
            pid = int(words[0])
            self.memory = MemoryTracker(pid, self.handle.guardian)
            self.store.update("workers", self.row, {"pid": pid})
            started = stream.WorkerStarted(
                worker=self.number, model=self.model, pid=pid, log_path=str(self.log)
            )
            self.emit(started)
            log.info("worker %d started: %s, pid %d", self.number, self.model, pid)
        elif kind == "exited":
            status, user_s, system_s, maxrss = words
            self.ending.status = int(status)
            self.facts["cpu_s"] = float(user_s) + float(system_s)
            if self.memory is not None:
                self.memory.total.rss_at_least(int(maxrss), "rusage maxrss")
        elif kind == "gone" and self.kill_requested:
            self.facts |= {"killed_processes": int(words[0]), "survivors": int(words[1])}
        elif kind == "failed":
            self.ending.start_error = " ".join(words)

    # Memory.

    def device_report(self, now: int | None, method: str) -> None:
        """Record the device memory that the worker reports."""
        self.device_now = now
        self.device.device_at_least(now, method)

    def device_peak(self, peak: int | None, method: str | None) -> None:
        """Record the device's own peak of a run."""
        self.device.device_at_least(peak, method)

    def start_run(self) -> None:
        """Start measuring a run: peak memory and interference."""
        if self.memory is not None:
            self.memory.start_run()
        self.facts |= self.interference.begin_run()

    def end_run(self) -> PeakMemory:
        """Return the run's peak memory and interference."""
        peak = PeakMemory() if self.memory is None else self.memory.end_run(self.clock())
        peak.interference = self.interference.end_run()
        return self.peak_of_model(peak)

    def peak_of_model(self, peak: PeakMemory) -> PeakMemory:
        """Return a peak as the model's: unknown if a server holds the model.

        The worker of such a model is an HTTP client; its memory is not the model's.
        """
        return PeakMemory(interference=peak.interference) if self.remote else peak

    def interrupted_run(self) -> PeakMemory | None:
        """Return the peak memory and interference of a run that the exit ended."""
        return self.peak_of_model(self.memory.span) if self.memory else None

    def sample(self, phase: Phase) -> int | None:
        """Return the tree's resident bytes if a sample is due; some are stored and emitted."""
        now = self.clock()
        if self.memory is None or now < self.sampled_at + SAMPLE_EVERY_S:
            return None
        self.sampled_at = now
        sample = self.memory.sample(now)
        if sample is None:
            return None
        if now >= self.stored_at + STORE_SAMPLE_EVERY_S and not self.remote:
            self.stored_at = now
            row = {
                "at_s": now - self.began,
                "phase": phase,
                "rss_bytes": sample.rss,
                "anonymous_bytes": sample.anonymous,
                "file_bytes": sample.file,
                "device_bytes": self.device_now,
            }
            self.store.add_sample(self.row, row)
            self.emit(
                stream.MemorySampled(
                    worker=self.number,
                    model=self.model,
                    rss_bytes=sample.rss,
                    peak_rss_bytes=self.memory.total.rss,
                    device_bytes=self.device_now,
                )
            )
        return sample.rss

    # The kill.

    @property
    def kill_requested(self) -> bool:
        """Whether a kill was requested."""
        return self.kill_asked is not None

    @property
    def outcome_decided(self) -> bool:
        """Return whether the run has exceeded a limit; later answers do not count."""
        return self.ending.killed_for not in (None, "interrupted", "cancelled")

    def kill(self, breach: LimitViolation, at_once: bool = False) -> None:
        """Request a kill: dump the stack first, unless `at_once`."""
        if not self.kill_requested:
            self.ending.killed_for, self.ending.message = breach.limit, breach.message
            self.ending.phase = breach.phase
            self.kill_asked = self.clock()
            self.facts["kill_started_at"] = utc_now()
            self.available = host.available_memory()
            details = (self.number, breach.limit, breach.phase, breach.message)
            log.warning("killing worker %d: %s in phase %s: %s", *details)
            self.emit(
                stream.WorkerKilled(
                    worker=self.number,
                    model=self.model,
                    killed_for=breach.limit,
                    phase=breach.phase,
                    message=breach.message,
                )
            )
            if not at_once:
                self.stack.begin(self.clock())
                self.facts["kill_signals"] = "SIGUSR1"
                self.handle.dump_stack()
        if at_once:
            self.send_kill()

    def send_kill(self) -> None:
        """Send the kill. No SIGTERM: a worker has no clean-up, and a hung one ignores it."""
        if self.kill_sent_at is None:
            self.kill_sent_at = self.clock()
            sent = self.facts.get("kill_signals")
            self.facts["kill_signals"] = f"{sent} SIGKILL" if sent else "SIGKILL"
        self.handle.kill()

    def tick(self) -> None:
        """Send queued commands, and the kill once the stack is complete or overdue."""
        self.handle.flush()
        if self.kill_asked is None or (now := self.clock()) < self.next_deadline():
            return
        if self.kill_sent_at is not None:
            self.kill_sent_at = now
            self.handle.kill_guardian()
            log.error("worker %d: its shim does not react; killing the shim", self.number)
            self.notes.append("the shim did not obey, and was killed")
        elif (complete := self.stack.is_complete(now)) or now >= self.kill_asked + STACK_GRACE_S:
            if complete:
                self.facts["stack_s"] = now - self.kill_asked
            self.send_kill()

    def next_deadline(self) -> float:
        """Return when `tick` or `sample` must run next, monotonic seconds."""
        if self.kill_asked is None:  # before it has started there is nothing to sample
            return float("inf") if self.memory is None else self.sampled_at + SAMPLE_EVERY_S
        if self.kill_sent_at is not None:
            return self.kill_sent_at + SHIM_TIMEOUT_S
        return min(self.stack.checked_at + STACK_LOOK_S, self.kill_asked + STACK_GRACE_S)

    def close(self) -> None:
        """Release resources after the exit, and read the stack file."""
        self.facts |= self.interference.end_load()
        self.notes += interference.interference_notes(self.facts.get("load_slept_s"), "its load")
        if self.memory is not None:
            self.memory.span.interference = self.interference.end_run()
        if orphans := self.handle.close():
            self.notes.append(f"the shim was killed; {orphans} processes it guarded were killed")
        if self.kill_requested:
            self.facts["freed_bytes"] = host.available_memory() - self.available
        self.ending.oom_kills = host.oom_kills() - self.oom_kills
        stack = self.stack.take()
        self.ending.stack = stack if self.kill_requested else None

    def store_exit(self, row: Workers) -> None:
        """Store the last columns, `row` included, and emit the exit."""
        status = self.ending.status
        total = self.peak_of_model(self.memory.total if self.memory else PeakMemory())
        died_of = outcome.signal_name(-status) if status is not None and status < 0 else None
        exit_code = status if status is not None and status >= 0 else None
        kill_s = None if self.kill_asked is None else self.clock() - self.kill_asked
        if self.ending.stack:
            row["stack"] = self.ending.stack
        row |= self.facts | {
            "ended_at": utc_now(),
            "exit_code": exit_code,
            "exit_signal": died_of,
            "killed_for": self.ending.killed_for,
            "kill_s": kill_s,
            "peak_rss_bytes": total.rss,
            "peak_rss_method": total.method,
            "peak_anonymous_bytes": total.anonymous,
            "peak_file_bytes": total.file,
            "peak_swap_bytes": total.swap,
            "peak_device_bytes": self.device.device,
            "peak_device_method": self.device.device_method,
        }
        self.store.update("workers", self.row, row)
        log.info("worker %d exited: %s", self.number, died_of or f"exit code {exit_code}")
        self.emit(
            stream.WorkerEnded(
                worker=self.number,
                model=self.model,
                exit_code=exit_code,
                exit_signal=died_of,
                killed_for=self.ending.killed_for,
                kill_s=kill_s,
                peak_rss_bytes=total.rss,
            )
        )
