"""The hub-cache lookup agrees with huggingface_hub, on both sides of the process boundary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import cli
from schemas.commands import Load
from schemas.shared import hub_cache
from workers import fetch, preflight

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_TOKEN_PATH")
SETTINGS: list[dict[str, str]] = [
    {},
    {"HF_HUB_CACHE": "/a/hub", "HUGGINGFACE_HUB_CACHE": "/b/hub", "HF_HOME": "/c"},
    {"HUGGINGFACE_HUB_CACHE": "/b/hub", "HF_HOME": "/c", "XDG_CACHE_HOME": "/d"},
    {"HF_HOME": "~/c", "XDG_CACHE_HOME": "/d"},
    {"XDG_CACHE_HOME": "/d"},
    {"XDG_CACHE_HOME": "~/d"},
    {"HF_HOME": "$BASE/c"},
    {"HF_HUB_CACHE": "~/$BASE/hub"},
    {"HF_TOKEN_PATH": "~/my-token"},
    {"HF_HOME": ""},
    {"XDG_CACHE_HOME": ""},
]
OFFLINE: list[dict[str, str]] = [
    {},
    {"HF_HUB_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "yes"},
    {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "true"},
]


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def add_model(cache: Path, commit: str = COMMIT, **refs: str) -> Path:
    """The demo model as the hub's library would have stored it."""
    repository = cache / "models--some--model"
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "blobs").mkdir(exist_ok=True)
    for file in demo().iterdir():
        blob = repository / "blobs" / file.name
        blob.write_bytes(file.read_bytes())
        (repository / "snapshots" / commit / file.name).symlink_to(f"../../blobs/{file.name}")
    for name, target in refs.items():
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / name).write_text(target)
    return repository


def demo() -> Path:
    from runner.planning.expand import demo_model

    return demo_model()


@pytest.mark.model
def test_folders_and_offline_mode_are_those_of_huggingface_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (*VARIABLES, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BASE", "/base")
    code = (
        "import json, os, importlib, sys; from huggingface_hub import constants as c\n"
        "for given in json.loads(sys.argv[1]):\n"
        "    os.environ.update(given); c = importlib.reload(c)\n"
        "    print(json.dumps([c.HF_HUB_CACHE, c.HF_TOKEN_PATH, c.HF_HUB_OFFLINE]))\n"
        "    for name in given: del os.environ[name]\n"
    )
    given = [*SETTINGS, *OFFLINE]
    command = [sys.executable, "-c", code, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for settings, line in zip(given, done.stdout.splitlines(), strict=True):
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            here = (hub_cache.root(), hub_cache.token_path(), hub_cache.offline())
            root, token, offline = json.loads(line)
            assert here == (Path(root), Path(token), offline), settings


@pytest.mark.parametrize("variable", VARIABLES[:4])
def test_offline_preflight_and_models_find_a_model_wherever_the_cache_is(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    folder = {"HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}.get(variable, "")
    add_model(tmp_path / folder, main=COMMIT)
    assert hub_cache.find("some/model") is not None

    answer = preflight.check_load(Load(model="some/model", local=False))
    assert (answer["problem"], answer["needs_download"]) == (None, False)
    result = CliRunner().invoke(cli, ["models", "--check", "some/model", "--json"])
    checked = json.loads(result.stdout)
    checked = checked[0] if isinstance(checked, list) else checked
    assert checked["problem"] is None, checked
    assert checked["folder"].startswith(str(tmp_path))


def test_revision_is_a_commit_or_a_ref(cache: Path) -> None:
    snapshots = add_model(cache, main=COMMIT, v1=COMMIT) / "snapshots"
    for revision in (None, "main", "v1", COMMIT):
        assert hub_cache.snapshot("some/model", revision) == snapshots / COMMIT
    for revision in ("v2", OTHER, "../refs", "..", "a\0b", COMMIT[:8]):
        assert hub_cache.snapshot("some/model", revision) is None, revision


def test_without_refs_only_a_single_snapshot_is_used(cache: Path) -> None:
    repository = add_model(cache)
    assert hub_cache.snapshot("some/model") == repository / "snapshots" / COMMIT
    assert hub_cache.snapshot("some/model", "main") is None
    add_model(cache, OTHER)
    assert hub_cache.snapshot("some/model") is None
    assert hub_cache.snapshot("some/model", OTHER) == repository / "snapshots" / OTHER


def test_refs_choose_between_two_snapshots(cache: Path) -> None:
    repository = add_model(cache, main=OTHER)
    assert hub_cache.snapshot("some/model") is None
    add_model(cache, OTHER)
    assert hub_cache.snapshot("some/model") == repository / "snapshots" / OTHER


def test_dangling_links_are_not_files(cache: Path) -> None:
    repository = add_model(cache, main=COMMIT)
    (repository / "blobs" / "model.safetensors").unlink()
    partly = hub_cache.find("some/model")
    assert partly is not None
    assert not partly.complete
    for blob in (repository / "blobs").iterdir():
        blob.unlink()
    assert hub_cache.find("some/model") is None
    problem = preflight.check_load(Load(model="some/model", local=False))["problem"]
    assert problem["error_class"] == "not_in_cache"


@pytest.mark.parametrize("name", ["", "/etc", "../etc", "a/b/c", "a\0b"])
def test_invalid_hub_id_is_not_looked_up(name: str, cache: Path) -> None:
    assert hub_cache.find(name) is None


@pytest.mark.model
def test_cache_without_refs_loads_offline_as_preflight_reports(cache: Path) -> None:
    repository = add_model(cache)
    code = (
        "import sys; from schemas.commands import Load; from workers.fetch import fetch\n"
        "print(fetch(Load(model='some/model', local=False), lambda event: None).folder)"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.stdout.strip() == str(repository / "snapshots" / COMMIT), done.stderr


def test_both_sides_use_the_shared_lookup() -> None:
    root = Path(__file__).parents[2]
    for side in ("runner", "workers"):
        for file in (root / side).rglob("*.py"):
            text = file.read_text()
            assert "HUGGINGFACE_HUB_CACHE" not in text, file
            assert '"snapshots"' not in text, file
    assert fetch.commit_in_cache is hub_cache.commit_in_cache
