"""Preflight: each finding, and that the checks always end."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from PIL import Image

from runner import api
from runner.cli import cli
from runner.database.store import Store
from runner.environments import cache, resolve
from runner.planning import expand, sweepfile
from runner.planning.plan import Plan
from runner.preflight import devices, finding, images, probe, run, view
from runner.preflight.finding import Finding
from runner.supervisor.queue import Queue
from runner.system import disk
from tests.helpers.openai_server import MODELS, FakeServer, serving

# The interpreter below our environment: it has none of our packages.
BARE = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "environments"))
    monkeypatch.chdir(tmp_path)


def plan(model: Any, *images: str, **more: Any) -> Plan:
    models = model if isinstance(model, list) else [model]
    asked = {"text": "x", "images": "each" if images else "none"}
    data = {"models": models, "prompts": [asked], "images": list(images), **more}
    return expand.expand_sweep(sweepfile.validate(data, "test"), Path.cwd(), "test")


def found(model: Any, *images: str, **more: Any) -> list[Finding]:
    return list(run.run_preflight(plan(model, *images, **more), Path.cwd() / "history.db").findings)


def one(model: Any, *images: str, **more: Any) -> Finding:
    (only,) = found(model, *images, **more)
    return only


def test_sound_sweep_has_no_findings(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "fine.png")
    assert found({"id": "demo", "device": "cpu"}, "fine.png") == []


def test_missing_packages_are_checked_in_the_model_environment() -> None:
    problem = one({"id": "demo", "engine": "transformers", "python": BARE})
    assert (problem.severity, problem.kind) == ("problem", "missing_package")
    assert "torch, transformers, huggingface_hub, safetensors, pillow" in problem.message
    assert BARE in problem.message
    # With a fallback, it is a warning.
    fallback = {"id": "demo", "engine": "transformers", "python": BARE, "fallback": ["demo"]}
    assert one(fallback).severity == "warning"


def test_missing_environment_is_a_note_and_failed_one_a_warning() -> None:
    model = {"id": "demo", "requirements": ["nothing==0"]}
    problem = one(model)
    assert problem.severity == "note"
    assert "created when the sweep starts, with nothing==0" in problem.message
    place = resolve.with_expected_interpreters(plan(model)).entries[0].place
    slot = cache.find_cached_environment(place.python or "")
    assert slot is not None
    slot.folder.parent.mkdir()
    slot.write(
        cache.EnvironmentManifest(sys.executable, ["nothing==0"], "it failed", "see the log")
    )
    problem = one(model)
    assert (problem.severity, problem.hint) == ("warning", "see the log")
    assert "the last time, it failed" in problem.message


def test_broken_interpreter_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "python").chmod(0o755)
    problem = one({"id": "demo", "python": "./python"})
    assert (problem.severity, problem.kind) == ("problem", "environment")


def test_missing_models_are_problems(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    named = {f.subject: f for f in found(["./empty", "org/none"])}
    assert named["empty"].kind == "bad_config"
    assert named["org/none"].kind == "not_in_cache"
    assert "HF_HUB_OFFLINE=0 hf download org/none" in str(named["org/none"].hint)


def test_server_without_key_or_listener_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(FakeServer()) as server:
        model = {"id": "seeing-2b", "engine": "openai", "url": server.url}
        assert found(model) == []
        assert "TEST_KEY" in one(model | {"api_key_env": "TEST_KEY"}).message
        monkeypatch.setenv("TEST_KEY", "secret")
        assert found(model | {"api_key_env": "TEST_KEY"}) == []
        assert server.chats() == [], "no model is loaded by asking"
    away = one(model)
    assert (away.kind, away.severity) == ("network", "warning"), "its jobs wait for it"
    assert "refused" in away.message.lower()
    assert one(model | {"fallback": ["demo"]}).severity == "warning"


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (200, MODELS, None),
        (200, {"data": []}, None),
        (404, {}, None),
        (200, {"data": [{"id": "seeing-2c"}, {"id": "b"}]}, ("problem", "not_found")),
        (401, {"error": "no key"}, ("problem", "gated")),
        (200, "<html>", ("problem", "protocol")),
        (503, {"error": {"message": "Loading model"}}, ("warning", "network")),
        (429, {"error": "slow down"}, ("warning", "network")),
    ],
)
def test_server_list_is_checked_as_by_a_run(
    status: int, value: Any, expected: tuple[str, str] | None
) -> None:
    with serving(FakeServer(gets={"/v1/models": (status, value)})) as server:
        findings = found({"id": "seeing-2b", "engine": "openai", "url": server.url})
    assert [(f.severity, f.kind) for f in findings] == ([expected] if expected else [])
    if expected and expected[1] == "not_found":
        assert findings[0].message == "The server has no model 'seeing-2b'"
        assert findings[0].hint == "Did you mean seeing-2c? It has b, seeing-2c."


def test_server_that_does_not_answer_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        assert one({"id": "m", "engine": "openai", "url": url}).severity == "warning"


def test_weights_are_compared_with_memory_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"id": "demo", "device": "cpu"}
    limited = one(model, limits={"memory_bytes": 1_000_000})
    assert (limited.severity, limited.kind) == ("problem", "memory_limit")
    small = psutil.virtual_memory()._replace(total=5_000_000, available=1_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: small)
    problem = one(model)
    assert (problem.severity, problem.kind) == ("problem", "too_large")
    assert "9.7 MB, more than the 5.0 MB of memory" in problem.message
    assert found(model | {"allow_oversize": True}) == []
    small = small._replace(total=50_000_000)
    problem = one(model)
    assert (problem.severity, problem.kind) == ("warning", "memory")


def test_device_memory_is_queried_without_a_model_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Big One, 80000, 70000'\necho 'Small One, 5, 5'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    big, small = devices.nvidia_devices() or []
    assert (big.name, big.total, small.free) == ("Big One", 80000 << 20, 5 << 20)
    assert found({"id": "demo", "engine": "transformers"}) == []
    problem = one({"id": "demo", "engine": "transformers", "device": "cuda:1"})
    assert "more than the 5.2 MB of memory of Small One" in problem.message
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [device.name for device in devices.nvidia_devices() or []] == ["Small One"]
    problem = one({"id": "demo", "engine": "transformers", "device": "cuda:1"})
    assert (problem.severity, problem.kind) == ("problem", "unsupported_device")
    program.write_text("#!/bin/sh\necho 'Failed to initialise'\nexit 9\n")
    assert devices.nvidia_devices() is None


def test_broken_images_are_listed(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1000)).save(tmp_path / "fine.png")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "empty.mp4").touch()
    names = ("fine.png", "text.png", "empty.jpg", "gone.png", "empty.mp4")
    problem = {Path(f.subject).name: f for f in found({"id": "demo", "device": "cpu"}, *names)}
    assert set(problem) == set(names[1:])
    assert all((f.severity, f.kind) == ("problem", "image") for f in problem.values())
    assert "empty" in problem["empty.jpg"].message


def test_disk_space_for_prepared_images_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (2000, 1000)).save(tmp_path / "fine.png")
    monkeypatch.setattr(images, "free_bytes", lambda _: 500_000)
    problem = one({"id": "demo", "device": "cpu"}, "fine.png")
    assert (problem.severity, problem.kind) == ("problem", "disk")
    assert "839 kB" in problem.message, "1024 x 512 pixels"


def test_preflight_has_a_time_limit(tmp_path: Path) -> None:
    wanted = plan("demo")
    (outlook,) = probe.probe_variants(
        list(finding.plan_variants(wanted)), hub=False, made=True, limit_s=0.001
    )
    assert outlook.finding is not None
    assert (outlook.finding.severity, outlook.facts) == ("warning", None)
    Image.new("RGB", (20, 10)).save(tmp_path / "fine.png")
    (problem,) = images.check_images(plan("demo", "fine.png"), tmp_path, limit_s=0.001)
    assert problem.message == "0 of 1 were checked in 0.001 s"


def test_time_estimate_comes_from_history(tmp_path: Path, sweep: Callable[..., Any]) -> None:
    sweep(["fine"], ["hello", "world"])
    seen = run.run_preflight(plan(["./fine", "demo"], repeats=10), tmp_path / "history.db")
    assert seen.expected.unknown == ("demo",)
    assert seen.expected.known_s > 0
    assert "never measured" in view.duration_text(seen)
    limits = {"load_s": 0.000001}
    slow = run.run_preflight(plan("./fine", limits=limits), tmp_path / "history.db")
    assert "load_s" in {one.kind for one in slow.of("warning")}


@pytest.mark.slow
def test_strict_plan_and_strict_run_refuse(tmp_path: Path) -> None:
    arguments = ["-m", "org/none", "-i", "fine.png", "--db", str(tmp_path / "history.db")]
    Image.new("RGB", (20, 10)).save(tmp_path / "fine.png")
    assert CliRunner().invoke(cli, ["plan", *arguments]).exit_code == 0
    for command in ("plan", "run"):
        done = CliRunner().invoke(cli, [command, *arguments, "--strict"])
        assert done.exit_code == 2
        assert "1 problem found before the start" in done.output
        assert "org/none" in done.output
    assert not (tmp_path / "history.db").exists()


def test_problems_are_reported_before_a_run_starts(tmp_path: Path) -> None:
    emitted: list[Any] = []
    (tmp_path / "broken.png").touch()
    api.check_plan(
        plan(["org/none", "demo"], "broken.png"), tmp_path / "history.db", emitted.append
    )
    problem = [(event.event, event.severity, event.subject) for event in emitted]
    assert problem == [("preflight_finding", "problem", "org/none")], "images are told of later"


def test_findings_are_not_truncated_and_similar_ones_counted(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.png").touch()
    names = [f"{number}.png" for number in range(8)]
    arguments = [word for name in names for word in ("-i", name)]
    done = CliRunner().invoke(cli, ["plan", "-m", "demo", *arguments, "--db", "x.db"])
    assert done.output.count("is empty (0 bytes)") == 5
    assert "and 3 more of this kind" in done.output
    assert "8 problems" in done.output
    listed = CliRunner().invoke(cli, ["plan", "-m", "demo", *arguments, "--db", "x.db", "--json"])
    assert len(json.loads(listed.output)["findings"]) == 8


def test_preflight_checks_only_models_with_jobs() -> None:
    excluded = [{"model": "demo", "reason": "no"}]
    assert list(finding.plan_variants(plan("demo", exclude=excluded))) == []
    assert disk.free_bytes(Path("/not/there")) is not None


def test_plan_distinguishes_videos_from_images(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 50)
    arguments = ["plan", "-m", "demo", "-i", "a.png", "-i", "b.mp4", "--db", "x.db"]
    assert "1 image and 1 video" in CliRunner().invoke(cli, arguments).output


def test_plan_does_not_change_the_database(store: Store, tmp_path: Path) -> None:
    before = (tmp_path / "history.db").stat().st_mtime_ns
    found({"id": "demo", "device": "cpu"})
    assert (tmp_path / "history.db").stat().st_mtime_ns == before


def test_queued_jobs_are_checked_again(store: Store, queued: Callable[..., int]) -> None:
    emitted: list[Any] = []
    model = {"id": "org/none", "name": "far", "fallback": ["./fine"]}
    number = queued(["fine"], ["a", "b"], tried=[model, "./fine"])
    run.check_queue(Queue(store.connection, number), store.path, emitted.append)
    problem = {(event.subject, event.severity, event.kind) for event in emitted}
    # (The fallback waits for nothing yet; the scripted model's folder is empty.)
    assert problem == {("far", "warning", "not_in_cache"), ("fine", "problem", "bad_config")}
