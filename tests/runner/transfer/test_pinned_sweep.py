"""The sweep file in a bundle: the same jobs again, pinned to what ran."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.database.store import Store
from runner.errors import VlmsweepError
from runner.image_prep import prepare
from runner.planning import request
from runner.planning.plan import Plan
from runner.transfer import bundle_writer
from runner.transfer.pinned_sweep import pin_requirement
from schemas.events import Fetched
from tests.helpers import histories

ALL = {
    "name": "all there is",
    "models": [
        {
            "id": "./one",
            "name": "first",
            "generation": {"max_new_tokens": 7},
            "limits": {"run_s": 33},
            "fallback": [{"id": "./two", "dtype": "float16"}],
        },
        {"id": "org/hub-model", "requirements": ["torch", "tool[x]>=1"], "device": "cpu"},
        {"id": "q:7b", "engine": "openai", "url": "http://127.0.0.1:1/v1", "api_key_env": "KEY"},
    ],
    "prompts": [
        "Each?",
        {"text": "None?", "images": "none"},
        {"name": "named", "text": "All?", "images": "all"},
        {"text": "These?", "images": ["b [1].png", "a.png"]},
        {"name": "talk", "turns": ["One?", {"role": "assistant", "text": "Yes."}, "Two?"]},
    ],
    "generation": {"max_new_tokens": 20, "do_sample": True, "temperature": 0.5, "seed": 3},
    "image": {"max_side": 32},
    "limits": {"load_s": 99, "memory_bytes": 5_000_000},
    "repeats": 2,
    "exclude": [
        {"model": "FIRST*", "image": "A.*", "reason": "fails on it"},
        {"model": "*hub*", "reason": "too slow"},
    ],
}
FILES = {"a.png": "red", "b [1].png": "blue", "ünï=1.png": "green"}


def bundled(store: Store, path: Path, **options: bool) -> bundle_writer.BundleResult:
    (uid,) = store.connection.execute("SELECT uid FROM sweeps ORDER BY id DESC").fetchone()
    return bundle_writer.write_bundle(store.path, uid, path, **options)


def unpacked(path: Path) -> Path:
    with zipfile.ZipFile(path) as file:
        file.extractall(path.with_suffix(""))
    return path.with_suffix("")


def plan(folder: Path) -> Plan:
    return request.build_plan(request.SweepRequest(file=folder / "sweep.yaml"))


@pytest.fixture
def history(store: Store, tmp_path: Path) -> Store:
    """That sweep, its models loaded once each."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    sweep = histories.add_real(store, tmp_path, ALL, FILES)
    for model in (1, 3):
        worker = histories.begin_worker(store, sweep, model)
        store.set_resolved_model(
            worker, Fetched(path="/x", commit="c0ffee" * 6, files={"config.json": 2})
        )
        store.update("workers", worker, {"ended_at": "2026-01-01T00:00:00.000000Z"})
    return store


def meaning(jobs: Plan, folder: Path) -> list[Any]:
    """Jobs independent of file names: images are identified by their pixels."""
    made = prepare.prepare_images(jobs.images, max_side=32, folder=folder)
    return [
        (
            jobs.entries[job.entry].name,
            jobs.entries[job.entry].generation,
            jobs.entries[job.entry].limits,
            jobs.prompts[job.prompt].model_copy(update={"images": "each"}),
            [made[image].prepared_sha256 for image in job.images],
            job.repeat,
            job.skip_reason,
        )
        for job in jobs.jobs
    ]


def test_pinned_sweep_has_the_same_jobs(history: Store, tmp_path: Path) -> None:
    (tmp_path / "asked.yaml").write_text(yaml.safe_dump(ALL | {"images": list(FILES)}))
    asked = request.build_plan(request.SweepRequest(file=tmp_path / "asked.yaml"))
    assert bundled(history, tmp_path / "x.zip").counts.left_out == []
    again = plan(unpacked(tmp_path / "x.zip"))
    assert meaning(again, tmp_path / "p") == meaning(asked, tmp_path / "p")
    assert len(again.jobs) == 3 * 2 * (3 + 1 + 1 + 1 + 3)
    assert {job.skip_reason for job in again.jobs} == {None, "fails on it", "too slow"}
    assert all(image.is_relative_to(tmp_path / "x") for image in again.images)


def test_models_are_pinned_to_the_revision_that_ran(history: Store, tmp_path: Path) -> None:
    bundled(history, tmp_path / "x.zip")
    first, hub, server = plan(unpacked(tmp_path / "x.zip")).entries
    assert first.place.location == str(tmp_path / "one")
    assert (first.place.how.engine, first.place.how.dtype) == ("transformers", "float32")
    assert first.place.how.revision is None  # of a folder there is none
    (fallback,) = first.fallbacks
    assert (fallback.location, fallback.how.dtype) == (str(tmp_path / "two"), "float16")
    assert (hub.place.how.revision, hub.place.how.device) == ("c0ffee" * 6, "cpu")
    assert hub.place.how.requirements == ["torch==2.9", "tool[x]>=1"]
    assert (server.place.how.url, server.place.how.api_key_env) == ("http://127.0.0.1:1/v1", "KEY")
    header = (tmp_path / "x" / "sweep.yaml").read_text().partition("\n\n")[0]
    assert "org/hub-model: on cpu, Python 3.11, torch 2.9" in header
    assert "q:7b: was never loaded" in header


@pytest.mark.parametrize(
    ("shared", "own", "pinned"),
    [
        ({"do_sample": True}, [{}, {"max_new_tokens": 7}], [True, True]),
        ({"do_sample": True}, [{"do_sample": False}, {}], [False, True]),
        ({}, [{"do_sample": True}, {}], [True, False]),
        ({"do_sample": True}, [{"seed": 5}, {}], [5, True]),
        ({}, [{}, {}], [False, False]),
    ],
)
def test_drawn_seed_is_pinned_for_the_models_that_sample(
    store: Store,
    tmp_path: Path,
    shared: dict[str, Any],
    own: list[dict[str, Any]],
    pinned: list[Any],
) -> None:
    models = [{"id": f"org/m{i}", "generation": given} for i, given in enumerate(own)]
    data = {"models": models, "prompts": ["What?"], "generation": shared, "repeats": 2}
    histories.add_real(store, tmp_path, data, FILES)
    (base,) = store.connection.execute("SELECT seed FROM sweeps").fetchone()
    bundled(store, tmp_path / "x.zip")
    again = plan(unpacked(tmp_path / "x.zip"))
    expected = [base if seed is True else None if seed is False else seed for seed in pinned]
    assert [entry.generation.seed for entry in again.entries] == expected
    assert (base is not None) == (True in pinned)


def test_library_versions_are_pinned() -> None:
    versions = {"torch": "2.9.0+cpu", "huggingface_hub": "1.2"}
    found = [
        pin_requirement(need, versions) for need in ("torch>=2", "Huggingface-Hub[x]", "else", "/x")
    ]
    assert found == ["torch==2.9.0", "Huggingface-Hub[x]==1.2", "else", "/x"]


def test_reference_answers_are_included(store: Store, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    rows = [{"image": "a.png", "prompt": "Colour?", "answers": ["red", "dark red"]}]
    (tmp_path / "known.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"models": ["./m"], "prompts": ["Colour?", "Else?"], "answers": "known.jsonl"}
    histories.add_real(store, tmp_path, data | {"scoring": ["exact"]}, FILES)
    bundled(store, tmp_path / "x.zip")
    expected = plan(unpacked(tmp_path / "x.zip")).expected
    assert dict(expected.accepted) == {0: ("red", "dark red")}
    assert expected.metrics == ("exact",)


def test_missing_files_are_left_out_and_reported(history: Store, tmp_path: Path) -> None:
    ask = "SELECT prepared_path FROM images WHERE name = 'a.png'"
    Path(history.connection.execute(ask).fetchone()[0]).unlink()
    done = bundled(history, tmp_path / "x.zip")
    assert done.counts.left_out == [
        "the prompt 'named': some of its images are missing",
        "the prompt 'These?': some of its images are missing",
        "the image 'a.png', which is missing",
    ]
    again = plan(unpacked(tmp_path / "x.zip"))
    assert len(again.jobs) == 3 * 2 * (2 + 1 + 2)
    assert "the image 'a.png'" in (tmp_path / "x" / "sweep.yaml").read_text()


def test_pinned_sweep_without_images_keeps_their_paths(history: Store, tmp_path: Path) -> None:
    bundled(history, tmp_path / "x.zip", images=False)
    again = plan(unpacked(tmp_path / "x.zip"))
    assert sorted(again.images) == sorted(tmp_path / name for name in FILES)


def test_sweep_of_another_format_version_is_refused(history: Store, tmp_path: Path) -> None:
    history.connection.execute("UPDATE sweeps SET spec = '{\"models\": []}'")
    with pytest.raises(VlmsweepError, match="this version of vlmsweep does not know its settings"):
        bundled(history, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
