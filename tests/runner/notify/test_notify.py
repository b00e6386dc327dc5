"""Notifications: real local receivers that work, are slow, fail or are missing."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.notify import NotifyError, listeners, send, send_process
from runner.notify.listeners import ListenerOptions
from runner.notify.send import redacted_name
from schemas import stream
from schemas.shared.redact import Redactor
from tests.helpers.command_line import sweep_file
from tests.helpers.paths import ROOT
from tests.helpers.scripted_sweep import Sweeper
from tests.helpers.waiting import WAIT_S

apprise = pytest.importorskip("apprise")
SECRET = "s3cr3t-t0ken"


class Receiver(ThreadingHTTPServer):
    """A web hook that keeps what it is sent; a silent one never answers."""

    daemon_threads = True

    def __init__(self, silent: bool = False) -> None:
        self.got: list[dict[str, Any]] = []
        self.asked, self.silent = threading.Event(), silent
        super().__init__(("127.0.0.1", 0), Hook)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server_port}/{SECRET}"

    def handle_error(self, *_: object) -> None:
        """Ignores a sender that was killed."""


class Hook(BaseHTTPRequestHandler):
    """One request."""

    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        self.server.asked.set()
        if self.server.silent:
            self.rfile.read(1)  # until the sender is gone
            return
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(silent: bool = False) -> Receiver:
        made.append(Receiver(silent))
        return made[-1]

    yield make
    for one in made:
        one.shutdown()
        one.server_close()


@pytest.fixture(autouse=True)
def _ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def refused() -> str:
    """An address where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"json://127.0.0.1:{one.getsockname()[1]}/{SECRET}"


def run(sweep: Sweeper, tmp_path: Path, wanted: ListenerOptions, prompts: list[str]) -> list[Any]:
    """Replays a sweep's events to the notifiers; returns all emitted events."""
    done = sweep(["a", "b"], prompts, name="tonight", limits={"worker_failures": 2})
    emitted: list[Any] = []
    with listeners.attach_listeners(emitted.append, done.store.path, wanted) as emit:
        for event in done.emitted:
            emit(event)
    return emitted


def failures(emitted: list[Any]) -> list[str]:
    return [event.message for event in emitted if isinstance(event, stream.NotifyFailed)]


@pytest.mark.slow
def test_end_first_failure_and_quarantine_are_notified_with_the_table(
    sweep: Sweeper, tmp_path: Path, receiver: Callable[..., Receiver]
) -> None:
    hook = receiver()
    wanted = ListenerOptions(True, [f"{hook.url}?format=text"])
    emitted = run(sweep, tmp_path, wanted, ["fine", "error", "exit 7", "exit 7", "never"])
    assert failures(emitted) == []
    got = {message["title"]: message["message"] for message in hook.got}
    first = got.pop("vlmsweep: first failure in tonight: a, error")
    assert first.startswith("error\nno image\ngive one")
    given_up = [title for title in got if "was given up in tonight" in title]
    assert len(given_up) == 2
    assert "skipped after 2 workers were lost in a row" in got[given_up[0]]
    (end,) = got.keys() - set(given_up)
    assert end == "vlmsweep: tonight is done: 2 ok, 6 failed, 2 skipped"
    assert "Inference time" in got[end]
    assert "1 ok, 2 crashed, 1 error, 1 skipped" in got[end]
    assert f"Stored in {tmp_path / 'history.db'}" in got[end]


@pytest.mark.slow
def test_markdown_service_gets_markdown(
    sweep: Sweeper, tmp_path: Path, receiver: Callable[..., Receiver]
) -> None:
    hook = receiver()
    emitted = run(sweep, tmp_path, ListenerOptions(True, [f"{hook.url}?format=markdown"]), ["fine"])
    assert failures(emitted) == []
    assert "| a | " in hook.got[0]["message"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from an import of apprise
def test_each_service_gets_its_format() -> None:
    def form(url: str) -> str:
        return send.message_format(apprise.Apprise.instantiate(url))

    assert form("json://localhost?format=text") == "text"
    assert form("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js") == "markdown"
    assert form("mailto://user:pass@example.com") == "markdown"
    assert form("syslog://") == "text"


@pytest.mark.slow
def test_unresponsive_receiver_delays_nothing(
    sweep: Sweeper,
    tmp_path: Path,
    receiver: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = receiver(silent=True)
    monkeypatch.setattr(send_process, "LIMIT_S", 4 * WAIT_S)
    done = sweep(["a"], ["fine"])
    emitted: list[Any] = []
    with listeners.attach_listeners(
        emitted.append, done.store.path, ListenerOptions(True, [hook.url])
    ) as emit:
        began = time.monotonic()
        for event in done.emitted:
            emit(event)
        assert time.monotonic() - began < send_process.LIMIT_S / 4
        assert hook.asked.wait(WAIT_S)
        assert failures(emitted) == []
        monkeypatch.setattr(send_process, "LIMIT_S", 0.01)
    assert failures(emitted) == ["could not tell: no answer within 0.01 s"]


@pytest.mark.slow
def test_failed_notification_is_reported_without_secrets(sweep: Sweeper, tmp_path: Path) -> None:
    wanted = ListenerOptions(
        True, [refused()], f"cat > {tmp_path}/said; echo {SECRET} is sour >&2; exit 3"
    )
    emitted = run(sweep, tmp_path, wanted, ["fine"])
    one, two = sorted(failures(emitted))
    assert one.startswith("could not tell: address 1 (json): ")
    assert two == "could not tell: the command ended with status 3: [secret] is sour"
    assert SECRET not in repr(emitted)
    assert (tmp_path / "said").read_text().startswith("vlmsweep: tonight is done: 2 ok\n\n")


def test_notify_command_gets_environment_variables(sweep: Sweeper, tmp_path: Path) -> None:
    out = tmp_path / "facts"
    emitted = run(
        sweep, tmp_path, ListenerOptions(True, (), f"env | grep ^VLMSWEEP_ > {out}"), ["fine"]
    )
    assert failures(emitted) == []
    facts = dict(line.split("=", 1) for line in out.read_text().splitlines())
    assert facts["VLMSWEEP_EVENT"] == "finished"
    assert (facts["VLMSWEEP_NAME"], facts["VLMSWEEP_STATE"]) == ("tonight", "done")
    assert (facts["VLMSWEEP_OK"], facts["VLMSWEEP_FAILED"]) == ("2", "0")
    assert facts["VLMSWEEP_DB"] == str(tmp_path / "history.db")
    assert "VLMSWEEP_DATABASE" not in facts  # a supervisor that starts kills what bears it


def test_notify_addresses_are_checked_before_any_run(tmp_path: Path) -> None:
    with (
        pytest.raises(NotifyError) as caught,
        listeners.attach_listeners(
            lambda _: None, tmp_path, ListenerOptions(True, ["json://localhost", SECRET])
        ),
    ):
        raise AssertionError("it began")
    assert "address 2" in caught.value.message
    assert "address 1" not in caught.value.message
    assert SECRET not in caught.value.message


def test_missing_apprise_is_reported_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(NotifyError) as caught,
        listeners.attach_listeners(
            lambda _: None, tmp_path, ListenerOptions(True, ["json://localhost"])
        ),
    ):
        raise AssertionError("it began")
    assert "vlmsweep[notify]" in (caught.value.hint or "")


def test_notification_error_does_not_stop_the_sweep(
    sweep: Sweeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_process, "CHILD", ("/no/such/program",))
    emitted = run(sweep, tmp_path, ListenerOptions(True, (), "true"), ["fine"])
    why = "no process could be started: No such file or directory"
    assert failures(emitted) == [f"could not tell: {why}"]
    monkeypatch.setattr(send_process, "CHILD", ("/bin/sh", "-c", "echo nonsense; exit 4"))
    emitted = run(sweep, tmp_path, ListenerOptions(True, (), "true"), ["fine"])
    assert failures(emitted) == ["could not tell: the sending process ended with status 4"]
    monkeypatch.setattr("runner.notify.Notifier.send", lambda *_, **__: 1 / 0)
    emitted = run(sweep, tmp_path, ListenerOptions(True, (), "true"), ["fine"])
    assert isinstance(emitted[-1], stream.SweepFinished)


@pytest.mark.slow
def test_command_line_secrets_are_redacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Callable[..., Receiver]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runner.supervisor.supervisor.ShimLauncher", _launcher())
    for name in ("good", "better"):
        (tmp_path / name).mkdir()
    hook = receiver()
    monkeypatch.setenv("VLMSWEEP_NOTIFY", f"{hook.url} {refused()}")
    monkeypatch.setenv("VLMSWEEP_DB", str(tmp_path / "history.db"))
    result = CliRunner().invoke(
        cli, ["run", sweep_file(tmp_path, ["a"]), "--json", "--allow-sleep"]
    )
    assert result.exit_code == 0, result.output
    assert len(hook.got) == 1
    assert "could not tell: address 2 (json)" in result.output
    assert "sleep_inhibited" not in result.output
    assert "VLMSWEEP_NOTIFY" not in os.environ  # so that no worker gets it
    assert SECRET not in result.output
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def _launcher() -> type:
    from tests.helpers.scripted_sweep import FakeLauncher

    return FakeLauncher


def test_notification_secrets_are_redacted() -> None:
    url = "discord://webhook-id/t0k%2Fen?user=me"
    assert redacted_name(2, url) == "address 2 (discord)"
    assert redacted_name(1, SECRET) == "address 1"
    text = f"POST {url} failed for webhook-id and t0k/en, t0k%2Fen"
    left = Redactor({}, [url])(text)
    assert not any(part in left for part in ("webhook-id", "t0k"))
    assert Redactor({}, ["json://a/b"])("nothing") == "nothing"
