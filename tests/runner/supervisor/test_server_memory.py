"""A model behind a server: the memory of its worker, an HTTP client, is not the model's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runner.database.reader import Reader
from runner.database.store import Store
from runner.report import load, summary
from runner.supervisor.supervisor import Supervisor
from schemas import stream
from tests.helpers.openai_manners import PNG, Expected, Manner, serving
from tests.helpers.openai_manners.manner import polite


def test_memory_of_a_model_behind_a_server_is_unknown(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    events: list[stream.StreamEvent] = []
    manner = Manner(name="it", question=polite, expected=Expected())
    with serving({"it": manner}) as server:
        model = {"id": "manner:it", "engine": "openai", "url": server.url("it")}
        number = queued([], ["What?"], tried=[model], images=["./a.png"])
        Supervisor(store, events.append).run_sweep(number)
    (run,) = store.db.query("SELECT * FROM runs")
    (worker,) = store.db.query("SELECT * FROM workers")
    assert run["outcome"] == "ok"
    for row in (run, worker):
        figures = {name: value for name, value in row.items() if name.startswith("peak_")}
        assert len(figures) >= 5
        assert set(figures.values()) == {None}
    assert run["slept_s"] is not None  # what disturbed the run is still measured
    assert store.db["memory_samples"].count == 0
    assert not [event for event in events if isinstance(event, stream.MemorySampled)]
    with Reader(store.path) as reader:
        facts = load.load_report(reader, reader.records("SELECT * FROM sweeps")[0])
    titles = [figure.title for figure in summary.figures(facts)]
    assert "Fastest answer" in titles
    assert "Least memory" not in titles
