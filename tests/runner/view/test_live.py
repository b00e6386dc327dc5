"""The live view and the plain lines, driven by events and a clock of the test's own."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterable

import pytest

from runner.text import sanitize
from runner.view.live import REDRAW_EVERY_S, LiveView
from runner.view.live_layout import wrapped
from runner.view.log_lines import LineLogger
from runner.view.progress import Progress, SweepProgress
from schemas import stream

EVIL = "\x1b[31m\x1b]0;own\x07 \x9b \u202e [red]x[/red]"


def started(**jobs: int) -> stream.SweepStarted:
    return stream.SweepStarted(
        sweep="20260101T000000-00000000",
        name=None,
        database="/tmp/x.db",
        models=list(jobs),
        jobs=sum(jobs.values()),
        jobs_by_model=jobs,
    )


def worker(model: str) -> stream.WorkerStarted:
    return stream.WorkerStarted(worker=1, model=model, pid=7, log_path="/tmp/log")


def loaded(model: str, load_s: float = 4.0) -> stream.WorkerLoaded:
    return stream.WorkerLoaded(
        worker=1,
        model=model,
        engine="fake",
        device="cpu",
        dtype="float32",
        load_s=load_s,
        download_s=None,
    )


def run(model: str, prompt: str = "What?") -> stream.RunStarted:
    return stream.RunStarted(
        run=1, job=1, worker=1, model=model, image="a.png", prompt=prompt, repeat=1, attempt=1
    )


def done(model: str, outcome: str = "ok", **more: object) -> stream.RunFinished:
    return stream.RunFinished(
        run=1,
        job=1,
        worker=1,
        model=model,
        image="a.png",
        prompt="What?",
        repeat=1,
        outcome=outcome,
        latency_s=1.5 if outcome == "ok" else None,
        **more,  # type: ignore[arg-type]
    )


def memory(model: str, rss: int, peak: int) -> stream.MemorySampled:
    return stream.MemorySampled(
        worker=1, model=model, rss_bytes=rss, peak_rss_bytes=peak, device_bytes=None
    )


def killed(model: str) -> stream.WorkerKilled:
    return stream.WorkerKilled(
        worker=1, model=model, killed_for="run_s", phase="generate", message="over 5 s"
    )


def ended(model: str) -> stream.WorkerEnded:
    return stream.WorkerEnded(
        worker=1,
        model=model,
        exit_code=0,
        exit_signal=None,
        killed_for=None,
        kill_s=None,
        peak_rss_bytes=9_000_000,
    )


def taken(events: Iterable[tuple[float, stream.StreamEvent]]) -> Progress:
    progress = Progress()
    for now, event in events:
        progress.take(event, now)
    return progress


def only(progress: Progress) -> SweepProgress:
    (sweep,) = progress.sweeps.values()
    return sweep


def test_live_view_shows_states_counts_and_memory() -> None:
    progress = taken(
        [
            (0, started(a=2, b=1)),
            (1, worker("a")),
            (5, loaded("a")),
            (5, memory("a", 1_000_000, 2_000_000)),
            (6, run("a")),
            (8, done("a")),
            (9, done("a", "timeout")),
            (9, ended("a")),
            (10, worker("b")),
        ]
    )
    sweep = only(progress)
    a, b = sweep.models["a"], sweep.models["b"]
    assert (a.state, a.detail, a.ok, a.failed, a.rss, a.peak) == (
        "done",
        "(1 failed)",
        1,
        1,
        None,
        9_000_000,
    )
    assert (b.state, b.done, b.total) == ("loading", 0, 1)
    assert (sweep.done, sweep.total) == (2, 3)


def test_remaining_time_uses_finished_runs_and_other_loads() -> None:
    progress = taken([(0, started(a=4, b=2)), (1, worker("a")), (5, loaded("a", 4.0))])
    sweep = only(progress)
    assert sweep.left(5) is None
    for now in (7, 9):
        progress.take(run("a"), now - 1)
        progress.take(done("a"), now)
    assert sweep.models["a"].left(9) == pytest.approx(2 * 2)
    assert sweep.left(9) == pytest.approx(2 * 2 + 4 + 2 * 2)


def test_model_with_only_failures_is_shown_as_failed() -> None:
    progress = taken([(0, started(a=1)), (1, worker("a")), (2, done("a", "crashed"))])
    assert only(progress).models["a"].state == "failed"


def test_download_progress_is_shown() -> None:
    event = stream.WorkerProgress(
        worker=1, model="a", phase="download", message="", done=30, total=60, unit="B"
    )
    model = only(taken([(0, started(a=1)), (1, event)])).models["a"]
    assert (model.state, model.detail) == ("downloading", "50%")


def test_server_wait_is_shown() -> None:
    reason = "The server answered 503: Loading model"
    waiting = stream.WorkerWaiting(
        worker=1, model="a", run=1, reason=reason, attempt=1, retry_in_s=4.2
    )
    progress = taken([(0, started(a=2)), (1, worker("a")), (2, loaded("a", 1.0)), (3, waiting)])
    model = only(progress).models["a"]
    assert (model.state, model.detail) == ("waiting", f"for the server: {reason}, again in 4 s")
    assert waiting.line == f"waiting for the server: {reason}"
    assert dataclasses.replace(waiting, attempt=2).line is None  # one line for one wait
    progress.take(stream.WorkerWaiting(worker=1, model="a"), 9)
    assert (model.state, model.detail) == ("running", "")
    progress.take(stream.ModelResting(model="a", reason=reason, retry_in_s=60), 10)
    assert (model.state, model.detail) == ("waiting", f"for the server: {reason}, again in 60 s")


def test_only_the_end_of_a_long_text_is_kept() -> None:
    progress = taken([(0, started(a=1)), (1, run("a"))])
    for _ in range(1000):
        progress.take(stream.RunText(run=1, text="many words "), 2)
    assert 1900 <= len(progress.runs[1].text) <= 2000


def test_concurrent_sweeps_are_counted_separately() -> None:
    progress = Progress()
    for uid, name in (("s1", "tonight"), ("s2", None)):
        begun = dataclasses.replace(started(a=2), sweep=uid, name=name)
        progress.take(begun, 0)
        progress.take(dataclasses.replace(worker("a"), sweep=uid), 0)
    progress.take(dataclasses.replace(run("a"), sweep="s1", run=7), 1)
    progress.take(dataclasses.replace(run("a"), sweep="s2", run=8), 1)
    progress.take(stream.RunText(run=8, text="of the second"), 1)
    progress.take(dataclasses.replace(done("a"), sweep="s1", run=7), 2)
    assert {uid: sweep.done for uid, sweep in progress.sweeps.items()} == {"s1": 1, "s2": 0}
    assert [run.text for run in progress.runs.values()] == ["of the second"]
    over = stream.SweepFinished(
        sweep="s1", state="done", ok=1, failed=0, skipped=0, waiting=1, elapsed_s=1
    )
    progress.take(over, 3)
    assert list(progress.runs) == [8]
    progress.take(dataclasses.replace(started(b=1), sweep="s3"), 4)
    assert list(progress.sweeps) == ["s2", "s3"]


def test_late_watcher_starts_with_current_counts() -> None:
    begun = dataclasses.replace(
        started(a=10, b=2),
        outcomes_by_model={"a": {"ok": 3, "timeout": 1, "skipped": 1}, "b": {"ok": 2}},
        seconds_per_run_by_model={"a": 2.0},
        elapsed_s=30.0,
    )
    sweep = only(taken([(100, begun)]))
    a = sweep.models["a"]
    assert (a.ok, a.failed, a.skipped, sweep.began) == (3, 1, 1, 70)
    assert sweep.models["b"].state == "done"
    assert a.left(100) == pytest.approx(5 * 2)


def test_retried_jobs_are_counted_again() -> None:
    progress = taken([(0, started(a=1)), (1, done("a", "timeout"))])
    assert only(progress).models["a"].state == "failed"
    again = stream.JobCountsChanged(
        sweep="20260101T000000-00000000", jobs_by_model={"a": 2}, outcomes_by_model={"a": {}}
    )
    progress.take(again, 2)
    a = only(progress).models["a"]
    assert (a.state, a.done, a.total) == ("waiting", 0, 2)


def test_memory_of_two_workers_of_a_model_is_summed() -> None:
    progress = taken([(0, started(a=2)), (0, worker("a"))])
    progress.take(memory("a", 10, 10), 1)
    progress.take(dataclasses.replace(memory("a", 5, 5), worker=2), 1)
    a = only(progress).models["a"]
    assert (a.rss, a.peak) == (15, 10)
    progress.take(ended("a"), 2)
    assert (a.rss, a.state) == (5, "loading")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LINES": "24", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def rendered(view: LiveView, now: float) -> list[str]:
    """The view's lines as text."""
    with view.console.capture() as capture:
        view.console.print(view.view(now))
    return re.sub("\x1b\\[[\\d;]*m", "", capture.get()).splitlines()


def test_view_fits_the_terminal_and_shows_the_current_run(screen: Terminal) -> None:
    view = LiveView(screen, clock=lambda: 0.0)
    names = {f"organisation/a-model-with-a-long-name-{i}": 3 for i in range(40)}
    first = next(iter(names))
    for event in (started(**names), worker(first), loaded(first), run(first, "Why? " * 50)):
        view.progress.take(event, 0)
    view.progress.take(stream.RunText(run=1, text="word " * 300 + EVIL), 1)
    view.progress.take(memory(first, 10**9, 2 * 10**9), 1)
    lines = rendered(view, 2)
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "more models" in text
    assert "peak 2.0 GB" in text
    assert "[red]x[/red]" in text
    assert not sanitize.UNSAFE.search(text)


def test_every_current_run_is_shown_with_its_model(screen: Terminal) -> None:
    view = LiveView(screen, clock=lambda: 0.0)
    for uid, name in (("s1", "tonight"), ("s2", "weekend")):
        view.take(dataclasses.replace(started(one=3, two=3), sweep=uid, name=name))
        for number, model in ((1, "one"), (2, "two")):
            id = number + (10 if uid == "s2" else 0)
            view.take(dataclasses.replace(worker(model), sweep=uid, worker=number))
            view.take(dataclasses.replace(run(model), sweep=uid, worker=number, run=id))
            view.take(stream.RunText(run=id, text=f"said by {id}"))
    lines = rendered(view, 3)
    assert len(lines) <= 22
    text = "\n".join(lines)
    assert re.search(r"^tonight +─+ +0/6 jobs", text, re.MULTILINE)
    assert re.search(r"^weekend +─+ +0/6 jobs", text, re.MULTILINE)
    assert "▸ two · a.png · What?  0:03" in text
    assert "said by 1\n" in text
    assert "and 1 more runs" in text or "said by 12" in text


@pytest.mark.parametrize("width", ["10", "20", "40"])
def test_narrow_terminal_is_supported(
    width: str, screen: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    view = LiveView(screen, clock=lambda: 0.0)
    for event in (started(model=3), worker("model"), loaded("model"), run("model")):
        view.progress.take(event, 0)
    view.progress.take(stream.RunText(run=1, text="世界" * 30), 1)
    assert max(map(len, rendered(view, 1))) <= int(width)


def test_view_is_redrawn_at_most_eight_times_per_second(screen: Terminal) -> None:
    now = 0.0
    view = LiveView(screen, clock=lambda: now)
    view.start()
    for event in (started(a=1), worker("a"), loaded("a"), run("a")):
        view(event)
    drawn: list[float] = []
    update = view.live.update
    view.live.update = lambda *a, **k: (drawn.append(now), update(*a, **k))  # type: ignore[method-assign,assign,func-returns-value]
    for _ in range(1000):
        now += 0.001
        view(stream.RunText(run=1, text="x"))
    view.stop()
    assert 7 <= len(drawn) <= 1 / REDRAW_EVERY_S


def test_failures_and_kills_stay_on_screen(screen: Terminal) -> None:
    view = LiveView(screen, clock=lambda: 0.0)
    view.start()
    for event in (started(a=2), worker("a"), killed("a"), done("a", "timeout", message=EVIL)):
        view(event)
    view.stop()
    written = screen.getvalue()
    assert "a: worker 1 killed: over 5 s" in written
    assert "timeout | a.png" in written
    assert "\x1b]0;own" not in written
    assert written.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in written[-40:]


def test_long_text_is_wrapped() -> None:
    assert wrapped("aa bb cc", 5) == ["aa bb", "cc"]
    assert wrapped("abcdefgh", 3) == ["abc", "def", "gh"]
    assert wrapped("世界世", 4) == ["世界", "世"]
    assert wrapped("世界", 1) == ["世", "界"]
    assert wrapped("", 5) == []


def test_plain_lines_have_the_facts_and_no_control_characters() -> None:
    out = io.StringIO()
    lines = LineLogger(out)
    image = stream.ImagePrepared(
        path="/p/\x1b[2Ja.png", done=1, total=1, error_class="bad_image", message="is broken"
    )
    over = stream.SweepFinished(
        sweep="s", state="done", ok=1, failed=1, skipped=0, waiting=0, elapsed_s=12.34
    )
    events: list[stream.StreamEvent] = [image, started(a=2), worker("a"), loaded("a"), run("a")]
    events += [memory("a", 1, 1), stream.RunText(run=1, text="x"), done("a", text="yes\n" + EVIL)]
    events += [killed("a"), done("a", "timeout", message="too slow"), ended("a"), over]
    for event in events:
        lines(event)
    printed = out.getvalue().splitlines()
    assert not sanitize.UNSAFE.search(out.getvalue())
    assert printed[0] == "image /p/\ufffd[2Ja.png: is broken"
    assert printed[3] == "a: loaded in 4.00 s (fake, cpu, float32)"
    assert printed[4].startswith("a: 1/2 ok 1.50 s | a.png · What? | yes")
    assert printed[5:] == [
        "a: worker 1 killed: over 5 s",
        "a: 2/2 timeout | a.png · What? | too slow",
        "s done: 1 ok, 1 failed, 12.3 s",
    ]
