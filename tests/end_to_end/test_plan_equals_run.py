"""The verdict of `plan` about prepared checkpoints, caches and servers is the outcome of a run.

Plan's findings come from its own probe process; the loads of each engine from one worker process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.planning.expand import demo_model
from runner.preflight import models, probe, servers
from runner.preflight.finding import Finding, LoadVariant
from schemas.commands import Load
from schemas.sweep import Limits
from tests.helpers.damage_checkpoint import Break, both, change, cut, put, remove
from tests.helpers.openai_server import FakeServer, serving
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.model

A, B = "a" * 40, "b" * 40
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 999\n"
QUANTISED = {
    "awq": "gptqmodel",
    "gptq": "optimum",
    "bitsandbytes": "bitsandbytes",
    "compressed-tensors": "compressed_tensors",
    "hqq": "hqq",
    "quanto": "optimum",
    "torchao": "torchao",
    "auto-round": "auto_round",
    "vptq": "vptq",
}
OTHER = {"architectures": ["Other"]}  # of no family that we know


@dataclass
class Case:
    """A checkpoint and how it is loaded; `expected` is the class of the failure, None if it loads.

    With `commits` it is a model of the hub cache, with these snapshots.
    """

    expected: str | None
    act: Break = lambda folder: None
    load: dict[str, Any] = field(default_factory=dict)
    commits: tuple[str, ...] = ()
    main: str | None = None


def lose(*names: str) -> Break:
    """Remove what links of a snapshot lead to."""

    def act(folder: Path) -> None:
        for path in folder.iterdir():
            if not names or path.name in names:
                path.resolve().unlink()

    return act


def shards(*files: str) -> Break:
    """The weights as model-1.safetensors, with an index that names these files."""

    def act(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        tensors = [name for name in json.loads(data[8 : 8 + size]) if name != "__metadata__"]
        named = {name: files[number % len(files)] for number, name in enumerate(tensors)}
        (folder / WEIGHTS).rename(folder / "model-1.safetensors")
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": named}))

    return act


def scheme(method: str) -> Break:
    return change("config.json", quantization_config={"quant_method": method}, **OTHER)


def code(text: str) -> Break:
    return both(
        change("config.json", model_type="odd", auto_map={"AutoConfig": "odd.Odd"}, **OTHER),
        put("odd.py", text),
    )


def processor(model_type: str, processor_class: str, image_processor: str) -> Break:
    named = {"processor_class": processor_class, "image_processor_type": image_processor}
    return both(
        change("config.json", model_type=model_type, **OTHER),
        change("processor_config.json", **named),
        change("preprocessor_config.json", **named),
    )


def hub(expected: str | None, act: Break = lambda folder: None, **more: Any) -> Case:
    return Case(expected, act, **{"commits": (A,), "main": A, **more})


MLX_BITS = {"quantization": {"bits": 4, "group_size": 64}}
TRUSTED = {"trust_remote_code": True}
CASES: dict[str, Case] = {
    "good": Case(None),
    "good, engine chosen": Case(None, load={"engine": "auto"}),
    "good, with an index": Case(None, shards("model-1.safetensors")),
    "good, other dtype": Case(None, load={"dtype": "float16"}),
    "a shard missing": Case("missing_shards", shards("model-1.safetensors", "model-2.safetensors")),
    "weights missing": Case("missing_shards", remove(WEIGHTS)),
    "weights cut off": Case("corrupt_weights", cut(WEIGHTS, 0.5)),
    "weights empty": Case("corrupt_weights", put(WEIGHTS, b"")),
    "weights a pointer": Case("pointer_only_weights", put(WEIGHTS, POINTER)),
    "weights no header": Case("corrupt_weights", put(WEIGHTS, struct.pack("<Q", 2) + b"{x")),
    "weights pickled": Case(
        "pickle_not_allowed", both(remove(WEIGHTS), put("pytorch_model.bin", b"x"))
    ),
    "index without a map": Case("corrupt_weights", both(remove(WEIGHTS), put(INDEX, "{}"))),
    "index that reaches out": Case("corrupt_weights", shards("../model.safetensors")),
    "tokenizer missing": Case("bad_tokenizer", remove("tokenizer.json")),
    "tokenizer cut off": Case("bad_tokenizer", cut("tokenizer.json", 0.5)),
    "tokenizer an empty object": Case("bad_tokenizer", put("tokenizer.json", "{}")),
    "tokenizer config no JSON": Case("bad_tokenizer", put("tokenizer_config.json", "{")),
    "template no text": Case("bad_template", put("chat_template.jinja", b"\xff\xfe\x00")),
    "processor no JSON": Case("bad_processor", put("preprocessor_config.json", "{")),
    "processor missing": Case("bad_processor", remove("preprocessor_config.json")),
    "config missing": Case("bad_config", remove("config.json")),
    "config no JSON": Case("bad_config", put("config.json", "{")),
    "config a list": Case("bad_config", put("config.json", "[]")),
    "config without a type": Case("bad_config", change("config.json", model_type=None)),
    "config's part no object": Case("bad_config", change("config.json", text_config=[1])),
    "no folder": Case("not_found", shutil.rmtree),
    "hub": hub(None),
    "hub, no refs": hub(None, main=None),
    "hub, one of two commits": hub(None, commits=(A, B), main=None, load={"revision": B}),
    "hub, two commits and no main": hub("not_in_cache", commits=(A, B), main=None),
    "hub, main elsewhere": hub("not_in_cache", main=B),
    "hub, unknown revision": hub("not_in_cache", load={"revision": "v9"}),
    "hub, never fetched": hub("not_in_cache", commits=()),
    "hub, links to nothing": hub("not_in_cache", lose()),
    "hub, config lost": hub("bad_config", lose("config.json")),
    "hub, weights lost": hub("missing_shards", lose(WEIGHTS)),
    "hub, tokenizer lost": hub("bad_tokenizer", lose("tokenizer.json")),
    "hub, processor lost": hub("bad_processor", lose("preprocessor_config.json")),
    "hub, code not pinned": hub("remote_code_not_allowed", load=TRUSTED),
    "quantised for mlx": Case("unsupported", change("config.json", **MLX_BITS)),
    "quantised for transformers": Case("unsupported", scheme("gptq"), {"engine": "mlx"}),
    "unknown to transformers": Case(
        "unknown_architecture", change("config.json", model_type="never_heard_of", **OTHER)
    ),
    "unknown to mlx": Case(
        "unknown_architecture",
        change("config.json", model_type="never_heard_of", **OTHER),
        {"engine": "mlx"},
    ),
    "text only": Case("unknown_architecture", change("config.json", model_type="llama", **OTHER)),
    "code nobody allowed": Case("remote_code_not_allowed", code("class Odd: pass")),
    "code that imports too much": Case(
        "missing_package", code("import no_such_package_here\nclass Odd: pass"), TRUSTED
    ),
    "model file that imports too much": Case(
        "missing_package",
        both(change("config.json", model_file="odd.py"), put("odd.py", "import no_such_package")),
        {"engine": "mlx", **TRUSTED},
    ),
}


def absent(package: str) -> bool:
    return importlib.util.find_spec(package) is None


CASES |= {
    f"quantised by {method}": Case("missing_package", scheme(method))
    for method, package in QUANTISED.items()
    if absent(package)
}
if absent("torchvision"):
    CASES |= {
        "processor with video": Case(
            "missing_package", processor("gemma4", "Gemma4Processor", "Gemma4ImageProcessor")
        ),
        "processor of torchvision": Case(
            "missing_package", processor("llama4", "Llama4Processor", "Llama4ImageProcessorFast")
        ),
    }
SERVERS: dict[str, tuple[str | None, tuple[int, Any] | None]] = {
    "server": (None, (200, {"data": [{"id": "m"}]})),
    "server without a list": (None, (404, {})),
    "server with an empty list": (None, (200, {"data": []})),
    "server with another model": ("not_found", (200, {"data": [{"id": "n"}]})),
    "server that wants a key": ("gated", (401, {"error": "no key"})),
    "server of something else": ("protocol", (200, "<html>")),
    "server that is away": ("network", None),
}
NAMES = (*CASES, *SERVERS)


@dataclass
class Verdicts:
    """The class of each case's failure by plan and by the run, None without one."""

    plan: dict[str, str | None]
    run: dict[str, str | None]


def copy_demo(folder: Path, whole: Path) -> None:
    """The demo model; its files are links to `whole`, with copies only of the small ones."""
    folder.mkdir(parents=True)
    whole.mkdir(parents=True, exist_ok=True)
    for file in demo_model().iterdir():
        if file.is_file():
            shutil.copy(file, whole / file.name)
            (folder / file.name).symlink_to(os.path.relpath(whole / file.name, folder))


def prepare(name: str, case: Case, home: Path) -> dict[str, Any]:
    """The options of the case's load, its files being there."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in name)
    options = {"engine": "transformers", "device": "cpu", **case.load}
    if case.main is None and not case.commits:
        folder = home / "models" / slug
        shutil.copytree(demo_model(), folder)
        case.act(folder)
        return {"model": str(folder), "local": True, **options}
    repository = home / "hub" / f"models--some--{slug}"
    for commit in case.commits:
        copy_demo(repository / "snapshots" / commit, repository / "blobs" / commit)
        case.act(repository / "snapshots" / commit)
    if case.main is not None:
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(case.main)
    return {"model": f"some/{slug}", "local": False, **options}


def plan_verdicts(loads: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    """The class of the worst problem or warning, by case."""
    variants = [
        LoadVariant(
            name=name,
            source="server" if load["engine"] == "openai" else "hub",
            load=Load(**load),
            limits=Limits(),
            last=True,
            python=None,
            requirements=None,
        )
        for name, load in loads.items()
    ]
    on_disk = [variant for variant in variants if variant.source != "server"]
    found: list[Finding] = [
        *models.check_models(probe.probe_variants(on_disk, hub=False, made=True, limit_s=120.0)),
        *servers.check_servers(variants),
    ]
    verdicts: dict[str, str | None] = dict.fromkeys(loads)
    for finding in found:
        if finding.severity != "note":
            verdicts[finding.subject] = verdicts[finding.subject] or finding.kind
    return verdicts


def run_verdicts(loads: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    """The class of each load's failure; each engine's loads in one process."""
    found: dict[str, str | None] = {}
    for mlx in (False, True):
        mine = {n: load for n, load in loads.items() if (load["engine"] == "mlx") is mlx}
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests/helpers/serve_cases.py")],
            input=json.dumps({name: {"load": load, "runs": []} for name, load in mine.items()}),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        for name, events in json.loads(done.stdout.strip().splitlines()[-1]).items():
            errors = [event["error_class"] for event in events if event["event"] == "error"]
            loaded = any(event["event"] == "loaded" for event in events)
            assert loaded is not bool(errors), (name, events)
            found[name] = errors[0] if errors else None
    return found


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    home = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("HF_HUB_CACHE", str(home / "hub"))
        patch.setenv("HF_HOME", str(home / "home"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        loads = {name: prepare(name, case, home) for name, case in CASES.items()}
        for name, (_, listing) in SERVERS.items():
            loads[name] = {"model": "m", "local": False, "engine": "openai"}
            loads[name]["url"] = "http://127.0.0.1:9/v1"
            if listing is not None:
                server = stack.enter_context(serving(FakeServer(gets={"/v1/models": listing})))
                loads[name]["url"] = server.url
        yield Verdicts(plan_verdicts(loads), run_verdicts(loads))


def expected_class(name: str) -> str | None:
    return CASES[name].expected if name in CASES else SERVERS[name][0]


def test_there_are_enough_cases() -> None:
    assert len(NAMES) >= 40
    assert sum(expected_class(name) is None for name in NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_plan_finds_what_a_run_meets(name: str, verdicts: Verdicts) -> None:
    expected = expected_class(name)
    assert (verdicts.plan[name], verdicts.run[name]) == (expected, expected)
