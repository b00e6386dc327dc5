"""Real worker processes against every manner of the stand-in server: outcome, text and notes.

Most manners share a few workers, which use each manner in turn; those that concern the
load, the whole server or a deadline get a worker and a server of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load, Run, Turn
from schemas.generation import Generation
from schemas.shared.counts import LARGEST_COUNT

from ....helpers.openai_manners import PNG, Expected, Manner, MannerServer, manners, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]
WORKER_S = 120.0  # until a worker must have reported everything
SHARED_WORKERS = 6
COUNTS = ("input_tokens", "image_tokens", "output_tokens")

Event = dict[str, Any]


@dataclass
class Report:
    """Events of a worker's load (run None) or of one run."""

    kind: str  # run_finished, error, or nothing if it was still waiting
    fields: Event = field(default_factory=dict)
    streamed: str = ""

    @property
    def reasoning(self) -> str | None:
        """The part of the generated text that is not the answer."""
        return self.fields.get("reasoning") or None


def find_report(events: list[Event], run: int | None) -> Report:
    """The report of one run, or of the load."""
    own = [event for event in events if event.get("run") == run]
    ends = [e for e in own if e["event"] in ("run_finished", "error")]
    assert len(ends) <= 1
    streamed = "".join(e["text"] for e in own if e["event"] == "text")
    return Report(*((ends[0]["event"], ends[0]) if ends else ("", {})), streamed)


class Worker:
    """A worker process and the events it sent so far."""

    def __init__(self, process: subprocess.Popen[bytes], stream: Any) -> None:
        self.process = process
        self.events: list[Event] = []
        self._more = threading.Condition()
        self._over = False
        threading.Thread(target=self._read, args=[stream], daemon=True).start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                with self._more:
                    self.events.append(json.loads(line))
                    self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()

    def wait(self, enough: Callable[[list[Event]], bool]) -> None:
        """Until it has sent enough, or left."""
        with self._more:
            done = self._more.wait_for(lambda: self._over or enough(self.events), WORKER_S)
        assert done, f"still at work after {WORKER_S} s: {self.events[-3:]}"


@contextmanager
def worker(load: Load, runs: list[Run], log: Path) -> Iterator[Worker]:
    """A worker that got these commands; killed at the block's end."""
    read, write = os.pipe()
    lines = b"".join(json.dumps(asdict(line)).encode() + b"\n" for line in [load, *runs])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", "--events-fd", str(write)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            pass_fds=[write],
            cwd=ROOT,
        )
    os.close(write)
    with process:
        try:
            assert process.stdin
            process.stdin.write(lines)
            process.stdin.close()
            yield Worker(process, os.fdopen(read, "rb"))
        finally:
            process.kill()


def make_load(url: str, manner: Manner, model: str) -> Load:
    return Load(
        model=model, local=False, engine="openai", url=url, server_wait_s=manner.server_wait_s
    )


def make_runs(manner: Manner, first: int, image: Path) -> list[Run]:
    turn = Turn(text=f"manner:{manner.name} What is this?", images=(str(image),))
    return [
        Run(run=number, turns=(turn,), generation=Generation(max_new_tokens=20))
        for number in range(first, first + manner.runs)
    ]


# Both ways to ask in a manner; the result is all differences by the manner's name.


def ask_alone(manner: Manner, folder: Path) -> dict[str, list[str]]:
    """The differences of one manner, with a worker and a server of its own."""
    image = folder / "image.png"
    with serving({manner.name: manner}) as server:
        if manner.absent_s is not None:
            server.go_away(manner.absent_s)
        load = make_load(server.url(manner.name), manner, f"manner:{manner.name}")
        runs = make_runs(manner, 1, image)
        with worker(load, runs, folder / f"{manner.name}.log") as process:
            timeout = manner.expected.outcome == "timeout"
            process.wait(lambda events: timeout and stalls(manner, events, server))
            events = list(process.events)
        differences = [*request_differences(manner, server)]
    if manner.expected.where == "load":
        differences += report_differences(manner, find_report(events, None))
    else:
        failed = [e["message"] for e in events if e["event"] == "error" and e["run"] is None]
        differences += [f"not loaded: {message}" for message in failed]
        for run in runs:
            differences += report_differences(manner, find_report(events, run.run))
    return {manner.name: [*differences, *waiting_differences(manner, events)]}


def ask_in_turn(shared: list[Manner], folder: Path) -> dict[str, list[str]]:
    """The differences of several manners, with one worker and one server."""
    first = 1
    runs: dict[str, list[Run]] = {}
    for manner in shared:
        runs[manner.name] = make_runs(manner, first, folder / "image.png")
        first += manner.runs
    with serving({manner.name: manner for manner in shared}) as server:
        load = make_load(f"{server.address}/v1", shared[0], "any")
        every_run = [run for of_manner in runs.values() for run in of_manner]
        with worker(load, every_run, folder / f"{shared[0].name}.log") as process:
            process.wait(lambda events: False)
            events = list(process.events)
        differences: dict[str, list[str]] = {}
        for manner in shared:
            numbers = [run.run for run in runs[manner.name]]
            own = [event for event in events if event.get("run") in numbers]
            differences[manner.name] = [
                *request_differences(manner, server),
                *waiting_differences(manner, own),
            ]
            for number in numbers:
                differences[manner.name] += report_differences(manner, find_report(own, number))
    return differences


def stalls(manner: Manner, events: list[Event], server: MannerServer) -> bool:
    """Whether a worker that a deadline will end has reported what it must."""
    expected = manner.expected
    if expected.where == "load":  # it retried, and reported it
        reasons = [e["reason"] for e in events if e["event"] == "waiting"]
        reported = any(expected.message in reason for reason in reasons)
        return reported and server.counted[manner.name, "probe"] >= 3
    return "".join(e["text"] for e in events if e["event"] == "text") == expected.text


# The comparison with what is expected.


def report_differences(manner: Manner, report: Report) -> Iterator[str]:
    """Differences between a report and the expected one."""
    expected, received = manner.expected, report.fields
    kind = {"ok": "run_finished", "error": "error", "timeout": ""}[expected.outcome]
    if received.get("error_class") == "internal":
        yield f"internal: {received}"
    if report.kind != kind:
        words = received.get("message") or received.get("text")
        error_class = received.get("error_class")
        yield f"{report.kind or 'nothing'} ({error_class}: {words!r}), wanted {kind!r}"
    elif kind == "error":
        if received["error_class"] not in expected.error_classes:
            yield f"class {received['error_class']}, wanted {expected.error_classes}"
        if expected.message not in received["message"]:
            yield f"{expected.message!r} is not in the message {received['message']!r}"
        asked = expected.where == "run" and expected.retry is not None
        if asked and received["requeue"] != (expected.retry == "queue"):
            yield f"requeue {received['requeue']}, wanted retry by {expected.retry}"
    elif kind == "run_finished":
        yield from answer_differences(expected, report)
    if kind != "run_finished" and not same_start(report.streamed, expected):
        yield f"sent {report.streamed[:80]!r} before it, wanted {expected.text!r}"


def same_start(streamed: str, expected: Expected) -> bool:
    """Text that never ends need only begin as expected."""
    if expected.text == "word word":
        return streamed.startswith(expected.text)
    return streamed == expected.text


def answer_differences(expected: Expected, report: Report) -> Iterator[str]:
    """Differences of an answer."""
    received = report.fields
    if received["text"] != expected.text:
        yield f"text {received['text']!r}, wanted {expected.text!r}"
    if report.reasoning != expected.reasoning:
        yield f"reasoning {report.reasoning!r}, wanted {expected.reasoning!r}"
    if report.streamed != received["raw_text"]:
        yield f"streamed {report.streamed!r}, raw {received['raw_text']!r}"
    if expected.finish_reason not in (None, received["finish_reason"]):
        yield f"finish reason {received['finish_reason']}, wanted {expected.finish_reason}"
    for note in expected.notes:
        if not any(note in stored for stored in received["notes"]):
            yield f"no note has {note!r}: {received['notes']}"
    for name in COUNTS:
        if received[name] is not None and not 0 <= received[name] <= LARGEST_COUNT:
            yield f"{name} {received[name]} is no count"
        if name in expected.counts and received[name] != expected.counts[name]:
            yield f"{name} {received[name]}, wanted {expected.counts[name]}"


def request_differences(manner: Manner, server: MannerServer) -> Iterator[str]:
    """Differences of the requests: their number, and the time between the first two."""
    times = server.times.get((manner.name, "question"), [])
    expected = manner.expected
    if expected.requests is not None and len(times) != expected.requests:
        yield f"{len(times)} requests, wanted {expected.requests}"
    if expected.wait_s and (len(times) < 2 or times[1] - times[0] < expected.wait_s):
        yield f"asked again too soon, or not at all; wanted after {expected.wait_s} s"


def waiting_differences(manner: Manner, events: list[Event]) -> Iterator[str]:
    """A wait for the server is reported during it, and stored."""
    if manner.expected.retry != "worker":
        return
    if not any(event["event"] == "waiting" for event in events):
        yield "no waiting event"
    notes = [note for event in events for note in event.get("notes") or []]
    if not any("waited" in note for note in notes):
        yield "no note says how long it waited"
    if not any(event.get("waited_s") for event in events if event["event"] != "waiting"):
        yield "no waited_s"


# The tests.


def shared_groups(table: list[Manner]) -> list[list[Manner]]:
    """The manners that share a worker, in groups that may wait equally long."""
    groups: list[list[Manner]] = []
    for wait_s in {manner.server_wait_s for manner in table}:
        same = [manner for manner in table if manner.server_wait_s == wait_s]
        count = min(SHARED_WORKERS, len(same))
        groups += [same[start::count] for start in range(count)]
    return groups


def needs_own_worker(manner: Manner) -> bool:
    expected = manner.expected
    special = expected.outcome == "timeout" or expected.where == "load"
    return bool(manner.alone or special or manner.models or manner.absent_s is not None)


@pytest.fixture(scope="module")
def differences(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """The differences of all manners that are to be tested now."""
    folder = tmp_path_factory.mktemp("manners")
    (folder / "image.png").write_bytes(PNG)
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = {
        i.callspec.params["name"]
        for i in items
        if i.originalname == "test_server_manner_gives_the_expected_outcome"
    }
    table = [manner for name, manner in manners().items() if name in names]
    alone = [manner for manner in table if needs_own_worker(manner)]
    groups = shared_groups([manner for manner in table if not needs_own_worker(manner)])
    with ThreadPoolExecutor(max_workers=12) as pool:
        parts = [pool.submit(ask_alone, manner, folder) for manner in alone]
        parts += [pool.submit(ask_in_turn, group, folder) for group in groups]
        return {name: found for part in parts for name, found in part.result().items()}


@pytest.mark.parametrize("name", manners())
def test_server_manner_gives_the_expected_outcome(
    name: str, differences: dict[str, list[str]]
) -> None:
    assert not differences[name], "; ".join(differences[name])


def test_enough_manners_are_tested() -> None:
    assert len(manners()) >= 220


def test_server_restarts_on_the_same_port() -> None:
    table = manners()
    with serving(table) as server:
        before = server.server_port
        server.go_away(0.1)
        until = time.monotonic() + WORKER_S
        while time.monotonic() < until and not answers(server):
            time.sleep(0.02)
        assert answers(server)
        assert server.server_port == before


def answers(server: MannerServer) -> bool:
    """True if the list of models can be read."""
    try:
        with urllib.request.urlopen(f"{server.address}/v1/models", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
