"""A worker that misbehaves on purpose, run by path in place of a real one.

It speaks the workers' protocol with nothing but the standard library, so that it starts in
milliseconds and imports nothing from its folder. The fault is named by the model's folder or by
the prompt. Every process it starts carries the mark given as first argument on
its command line, and ends by itself after LAST_S, should every defence fail (all but one that is
stopped). What a fault does is in `fault_actions`; `runner.chaos.runner` checks the result.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable

if __package__:
    from . import fault_actions as actions
else:  # run by path and isolated, so that this folder is not searched
    sys.path.append(__file__.rpartition("/")[0])
    import fault_actions as actions  # type: ignore[import-not-found, no-redef]

GROW_BYTES, GROW_STEP = 600_000_000, 2_000_000
PARTIAL = "partial words"


class FaultyWorker:
    """The protocol, and the faults by name."""

    def __init__(self, mark: str, events: int) -> None:
        self.mark, self.events = mark, events
        self.commands = os.fdopen(os.dup(0), "rb")
        os.set_inheritable(events, False)
        code = f"import time; time.sleep({actions.LAST_S})"
        self.sleeper = [sys.executable, "-I", "-S", "-c", code, mark]
        if stack := os.environ.get("VLMSWEEP_STACK_FILE"):
            file = os.open(stack, os.O_WRONLY | os.O_CREAT, 0o600)
            faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)

    # The protocol.

    def say(self, event: str, **fields: object) -> None:
        """One event."""
        self.write(json.dumps({"event": event, "seq": 1, "at_s": 0.5, **fields}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Bytes on the event stream, all of them."""
        actions.write_all(self.events, data)

    def finish(self, run: int, text: str = "fine") -> None:
        """The end of an answer."""
        figures = {"finish_reason": "stop", "latency_s": 0.01, "preprocess_s": 0.0}
        self.say("run_finished", run=run, raw_text=text, text=text, **figures)

    def serve(self) -> None:
        """Executes commands, and the faults that the model's name and the prompts name."""
        model = ""
        for line in self.commands:
            command = json.loads(line)
            if command["command"] == "load":
                model = os.path.basename(command["model"])  # noqa: PTH119 - pathlib is slow
                self.load(model)
            elif command["command"] == "run":
                self.say("run_started", run=command["run"])
                self.run(command["run"], command["turns"][-1]["text"])
            else:
                self.say("worker_exiting", runs=1)
                if model == "hang-at-exit":
                    actions.forever()
                os._exit(0)

    def load(self, model: str) -> None:
        """Loads nothing, or fails to."""
        self.say("started", pid=os.getpid(), python="3", executable=sys.executable)
        if model == "hang-in-load":
            self.say("progress", phase="load", message="importing")
            actions.forever()
        if model == "load-error":
            why = {"error_class": "missing_package", "exception": "ImportError"}
            self.say("error", phase="load", message="a package is missing", **why)
            os._exit(3)
        self.say("fetched", path="/nowhere", weights_bytes=1)
        what = {"engine": "chaos", "family": "chaos", "model_class": "Fault", "device": "cpu"}
        self.say("loaded", dtype="float32", dtype_reason="none", load_s=0.0, **what)

    def run(self, run: int, prompt: str) -> None:
        """One fault, then an answer if it is a fault that leaves one possible."""
        if prompt in FAULTS:
            FAULTS[prompt](self, run)
        self.finish(run)


# Hanging.


def hang_in_python(worker: FaultyWorker, run: int) -> None:
    """The kind a signal could end."""
    actions.forever()


def hang_in_native_code(worker: FaultyWorker, run: int) -> None:
    """Holds the interpreter's lock, and no signal but KILL gets through."""
    actions.hold_interpreter_lock()


def hang_during_answer(worker: FaultyWorker, run: int) -> None:
    """The text before the hang must be kept."""
    worker.say("first_token", run=run, ttft_s=0.0, preprocess_s=0.0)
    worker.say("text", run=run, text=PARTIAL)
    actions.forever()


def stopped(worker: FaultyWorker, run: int) -> None:
    """Stopped, it takes no signal but KILL and CONT."""
    actions.stop_itself()
    actions.forever()


# Descendants that try to outlive it.


def grandchild(worker: FaultyWorker, run: int) -> None:
    """A plain child of the worker."""
    actions.spawn_child(worker.sleeper[0], worker.sleeper, os.environ)
    actions.forever()


def own_session(worker: FaultyWorker, run: int) -> None:
    """Out of reach for a kill of the process group."""
    spawn_in_session(worker)
    actions.forever()


def spawn_in_session(worker: FaultyWorker) -> None:
    """A child in a new session, which keeps every descriptor of its parent."""
    actions.spawn_in_session(worker.sleeper[0], worker.sleeper, os.environ, [worker.events])


def daemon(worker: FaultyWorker, run: int) -> None:
    """Its parent is gone, so a walk down from the worker does not find it."""
    actions.spawn_daemon(worker.sleeper[0], worker.sleeper, os.environ)
    actions.forever()


def bare_daemon(worker: FaultyWorker, run: int) -> None:
    """The same with nothing in its environment to be known by."""
    actions.spawn_daemon(worker.sleeper[0], worker.sleeper, {})
    actions.forever()


def spawn_every_descendant(worker: FaultyWorker, run: int) -> None:
    """All four kinds of descendant at once, below a worker that ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    actions.spawn_child(worker.sleeper[0], worker.sleeper, os.environ)
    spawn_in_session(worker)
    actions.spawn_daemon(worker.sleeper[0], worker.sleeper, os.environ)
    actions.spawn_daemon(worker.sleeper[0], worker.sleeper, {})
    actions.forever()


def leaked_child(worker: FaultyWorker, run: int) -> None:
    """The worker is gone, but a child of its keeps its pipes open."""
    spawn_in_session(worker)
    os._exit(0)


# Exits.


def segfault(worker: FaultyWorker, run: int) -> None:
    """A real one, in native code."""
    actions.segfault()


def abort(worker: FaultyWorker, run: int) -> None:
    """Aborts, as a failed assertion in a library does."""
    actions.abort()


def exit_without_answer(worker: FaultyWorker, run: int) -> None:
    """Says that all went well, and has done nothing."""
    os._exit(0)


def torn_line(worker: FaultyWorker, run: int) -> None:
    """Dies in the middle of a line."""
    worker.write(actions.TORN_LINE)
    os._exit(0)


# Invalid output.


def garbage(worker: FaultyWorker, run: int) -> None:
    """No JSON, no text, no event."""
    worker.write(actions.GARBAGE)
    worker.say("no such event")
    worker.say("text", run="seven", text=None)


def huge_line(worker: FaultyWorker, run: int) -> None:
    """More than anyone should keep in memory for a line."""
    actions.write_long_line(worker.events)


def second_answer(worker: FaultyWorker, run: int) -> None:
    """The first answer holds; the second comes from `Worker.run`'s end."""
    worker.finish(run, "the first answer")


def flood(worker: FaultyWorker, run: int) -> None:
    """More on standard output and error than pipe or log may hold."""
    actions.flood_output()


def grow_memory(worker: FaultyWorker, run: int) -> None:
    """Takes memory, touched, until it is killed; limited, to protect the machine."""
    actions.grow_memory(GROW_STEP, GROW_BYTES)


FAULTS: dict[str, Callable[[FaultyWorker, int], None]] = {
    do.__name__.replace("_", "-"): do
    for do in (
        *(hang_in_python, hang_in_native_code, hang_during_answer, stopped),
        *(grandchild, own_session, daemon, bare_daemon, spawn_every_descendant, leaked_child),
        *(segfault, abort, exit_without_answer, torn_line),
        *(garbage, huge_line, second_answer, flood, grow_memory),
    )
}


def main(argv: list[str]) -> None:
    """MARK --events-fd NUMBER"""
    FaultyWorker(argv[1], int(argv[argv.index("--events-fd") + 1])).serve()


if __name__ == "__main__":
    main(sys.argv)
