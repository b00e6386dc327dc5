"""Problems of a load, reported before it is tried."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load
from workers import preflight

DEMO = Path(preflight.__file__).parent / "demo_model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load(**more: Any) -> Load:
    return Load(**{"model": str(DEMO), "local": True, **more})


def test_sound_folder_has_no_problem() -> None:
    facts = preflight.check_load(load())
    assert facts["problem"] is None
    assert facts["engine"] in ("transformers", "mlx")
    size = (DEMO / "model.safetensors").stat().st_size
    assert 0.99 * size < facts["weights_bytes"] < size
    assert (
        preflight.check_load(load(dtype="float16"))["weights_bytes"] * 2 == facts["weights_bytes"]
    )
    assert not facts["needs_download"]


def test_broken_folder_gets_its_error_class(tmp_path: Path) -> None:
    assert preflight.check_load(load(model=str(tmp_path)))["problem"]["error_class"] == "bad_config"
    shutil.copytree(DEMO, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    problem = preflight.check_load(load(model=str(tmp_path / "cut")))["problem"]
    assert problem["error_class"] == "corrupt_weights"
    assert str(tmp_path / "cut") in problem["hint"]


def test_disallowed_remote_code_is_found_before_the_load(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "moon")
    config = tmp_path / "moon" / "config.json"
    config.write_text(
        json.dumps({"model_type": "moondream1", "auto_map": {"AutoConfig": "a.HfMoondream"}})
    )
    ask = load(model=str(tmp_path / "moon"), engine="transformers")
    assert preflight.check_load(ask)["problem"]["error_class"] == "remote_code_not_allowed"
    allowed = load(model=ask.model, engine="transformers", trust_remote_code=True)
    assert preflight.check_load(allowed)["problem"] is None
    unpinned = Load(model="a/b", local=False, trust_remote_code=True)
    assert preflight.check_load(unpinned)["problem"]["error_class"] == "remote_code_not_allowed"


def test_cache_is_read_at_the_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--model"
    shutil.copytree(DEMO, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "refs" / "v1").write_text(COMMIT)
    for revision in (None, "main", "v1", COMMIT):
        ask = Load(model="some/model", local=False, revision=revision)
        assert preflight.check_load(ask)["weights_bytes"], revision
    for revision in ("v2", "../../refs"):
        problem = preflight.check_load(Load(model="some/model", local=False, revision=revision))
        assert problem["problem"]["error_class"] == "not_in_cache"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    facts = preflight.check_load(Load(model="some/other", local=False))
    assert (facts["needs_download"], facts["download_bytes"], facts["hub_queried"]) == (
        True,
        None,
        False,
    )


def test_incomplete_download_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--some--model" / "snapshots" / COMMIT
    shutil.copytree(DEMO, snapshot)
    (snapshot / "model.safetensors").unlink()
    ask = Load(model="some/model", local=False)
    assert preflight.check_load(ask)["problem"]["error_class"] == "missing_shards"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert preflight.check_load(ask)["needs_download"]


def test_preflight_worker_answers_per_line_without_model_libraries() -> None:
    code = (
        "import sys; from workers import preflight; preflight.main();"
        "heavy = ('torch', 'transformers', 'mlx', 'huggingface_hub');"
        "print([name for name in heavy if name in sys.modules])"
    )
    asked = [load(), Load(model="no/where", local=False)]
    lines = "".join(json.dumps(asdict(ask)) + "\n" for ask in asked)
    done = subprocess.run([sys.executable, "-c", code], input=lines, capture_output=True, text=True)
    first, second, imported = done.stdout.splitlines()
    assert json.loads(first)["problem"] is None
    assert json.loads(second)["problem"]["error_class"] == "not_in_cache"
    assert imported == "[]"
