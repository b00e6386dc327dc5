"""The hub-cache lookup agrees with huggingface_hub, on both sides of the process boundary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.planning import expand, preview, sweepfile
from schemas.commands import Load
from schemas.shared import hub_cache
from workers import describe, fetch, preflight
from workers.checkpoint import read_checkpoint
from workers.error_classes import WorkerFailure

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
    assert fetch.hub_cache is hub_cache


def plan_state(model: str, revision: str | None = None) -> str:
    """The state of a model that `plan` shows."""
    data = {"models": [{"id": model, **({"revision": revision} if revision else {})}]}
    plan = expand.expand_sweep(
        sweepfile.validate(data | {"prompts": [{"text": "x", "images": "none"}]}, "test"),
        Path.cwd(),
        "test",
    )
    return preview.preview(plan).models[0].state


def fetched(model: str, revision: str | None = None) -> Path | str:
    """The folder that a run takes, or the class of its failure, offline and by files alone."""
    ask = Load(model=model, local=False, revision=revision)
    try:
        folder = fetch.fetch(ask, lambda event: None).folder
        read_checkpoint(folder)
    except WorkerFailure as failure:
        return failure.error_class
    return folder


def checked(model: str, revision: str | None = None) -> str | None:
    """The class of the problem that the preflight check finds."""
    ask = Load(model=model, local=False, revision=revision)
    problem = preflight.check_load(ask)["problem"]
    return problem["error_class"] if problem else None


def drop_blobs(repository: Path, *names: str) -> None:
    for blob in list((repository / "blobs").iterdir()):
        if not names or blob.name in names:
            blob.unlink()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("config.json",), "bad_config"),
        (("tokenizer.json",), "bad_tokenizer"),
        (("tokenizer_config.json",), "bad_tokenizer"),
        (("preprocessor_config.json",), "bad_processor"),
        (("processor_config.json",), "bad_processor"),
        (("chat_template.jinja",), "bad_template"),
        (("model.safetensors",), "missing_shards"),
        ((), "not_in_cache"),
        (("README.md",), None),
    ],
)
def test_plan_and_run_agree_about_links_to_nothing(
    names: tuple[str, ...], expected: str | None, cache: Path
) -> None:
    repository = add_model(cache, main=COMMIT)
    drop_blobs(repository, *names)
    there = repository / "snapshots" / COMMIT
    assert checked("some/model") == expected
    assert fetched("some/model") == (expected or there)
    checked_as = describe.check_model("some/model")["problem"]
    assert (checked_as and checked_as["error_class"]) == expected
    if not names:
        assert plan_state("some/model") == "not in the cache: offline, cannot be downloaded"
        assert "links to nothing" in hub_cache.describe_absence("some/model")


def test_plan_and_run_agree_about_a_cache_without_refs(cache: Path) -> None:
    repository = add_model(cache)
    there = repository / "snapshots" / COMMIT
    assert (checked("some/model"), fetched("some/model")) == (None, there)
    assert plan_state("some/model") == "in the cache"

    add_model(cache, OTHER)
    assert (checked("some/model"), fetched("some/model")) == ("not_in_cache", "not_in_cache")
    assert plan_state("some/model") == "not in the cache: offline, cannot be downloaded"
    problem = preflight.check_load(Load(model="some/model", local=False))["problem"]
    assert COMMIT in problem["message"]
    assert OTHER in problem["message"]
    assert problem["hint"].startswith("Set revision to one of them")
    for commit in (COMMIT, OTHER):
        assert checked("some/model", commit) is None
        assert fetched("some/model", commit) == repository / "snapshots" / commit
        assert plan_state("some/model", commit) == "in the cache"
    assert checked("some/model", "main") == fetched("some/model", "main") == "not_in_cache"


def test_state_of_an_absent_model_depends_on_offline(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan_state("some/model") == "not in the cache: offline, cannot be downloaded"
    drop_blobs(add_model(cache, main=COMMIT), "model.safetensors")
    assert plan_state("some/model") == "partly in the cache: offline, cannot be downloaded"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert plan_state("some/model") == "partly in the cache: will be downloaded"
    assert plan_state("some/other") == "not in the cache: will be downloaded"


def hub_at(commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub whose main is this commit of the demo model; an empty one cannot be reached."""
    api = pytest.importorskip("huggingface_hub")
    files = [
        SimpleNamespace(rfilename=file.name, size=file.stat().st_size) for file in demo().iterdir()
    ]

    def answer(*_: object, **__: object) -> SimpleNamespace:
        if not commit:
            raise ConnectionError("no route")
        return SimpleNamespace(gated=False, siblings=files, sha=commit)

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(api.HfApi, "model_info", answer)


@pytest.mark.parametrize(("main", "download"), [(COMMIT, False), (OTHER, True), ("", False)])
def test_online_the_hub_decides_about_a_cache_without_refs(
    main: str, download: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = add_model(cache)
    hub_at(main, monkeypatch)
    facts = preflight.check_load(Load(model="some/model", local=False), hub=True)
    assert (facts["problem"], facts["needs_download"]) == (None, download)
    if main:
        return
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: hub.HfApi().model_info())
    folder = fetch.fetch(Load(model="some/model", local=False), lambda event: None).folder
    assert folder == repository / "snapshots" / COMMIT
