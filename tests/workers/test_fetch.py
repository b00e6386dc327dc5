"""The hub's side of things, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load
from schemas.events import Progress
from workers import fetch
from workers.error_classes import WorkerFailure

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load(**more: Any) -> Load:
    return Load(**{"model": "someone/model", "local": False, **more})


def test_local_folder_is_not_fetched() -> None:
    found = fetch.fetch(load(model="/models/x", local=True), lambda event: None)
    assert (found.folder, found.download_s, found.commit) == (Path("/models/x"), None, None)


@pytest.mark.parametrize("revision", [None, "main", COMMIT[:7]])
def test_remote_code_needs_a_commit(revision: str | None) -> None:
    with pytest.raises(WorkerFailure) as failure:
        fetch.fetch(load(trust_remote_code=True, revision=revision), lambda event: None)
    assert failure.value.error_class == "remote_code_not_allowed"
    assert failure.value.hint
    fetch.check_remote_code(load(trust_remote_code=True, revision=COMMIT))


def test_only_allowed_files_are_fetched() -> None:
    plain = fetch.patterns(load())
    assert not {"*.py", "*.bin"} & set(plain)
    assert "*.py" in fetch.patterns(load(trust_remote_code=True))
    assert "*.bin" in fetch.patterns(load(allow_pickle=True))


@pytest.mark.model
def test_missing_model_offline_error_names_the_fetch_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WorkerFailure) as failure:
        fetch.fetch(load(revision="v1"), lambda event: None)
    assert failure.value.error_class == "not_in_cache"
    assert failure.value.hint
    assert "hf download someone/model --revision v1" in failure.value.hint


@pytest.mark.model
def test_cached_snapshot_is_found_with_its_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--model"
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "snapshots" / COMMIT / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    found = fetch.fetch(load(), lambda event: None)
    assert found.commit == COMMIT
    assert found.source == "someone/model"
    assert found.download_s is not None


def test_progress_bars_report_bytes() -> None:
    pytest.importorskip("tqdm")
    emitted: list[Any] = []
    with fetch._progress_bar_class(emitted.append)(
        total=10, unit="B", desc="Reconstructing"
    ) as bar:
        bar.update(10)
        bar.refresh()
    assert emitted[-1] == Progress(
        phase="download", message="downloading", done=10.0, total=10.0, unit="B"
    )
