"""Each class of error is provoked by a really broken checkpoint or input, in both engines.

All breakages of one engine run through a worker's own life in one process (`serve_cases`); each
test then checks the events. Faults of the environment are in test_broken_environment.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.damage_checkpoint import (
    Break,
    both,
    change,
    cut,
    first,
    header,
    odd_type,
    overlap,
    put,
    remove,
    weights,
)
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.model

HERE = ROOT / "tests/helpers"
ENGINES = ("transformers", "mlx")
WEIGHTS = "model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 999\n"
CODE = "import no_such_package_here\nclass Odd:\n    pass\n"
PLACEHOLDER = re.compile(r"\bID\b|\{\w*\}|FOLDER|\bMODEL\b")


@dataclass
class Case:
    """The defect, its expected error class, and the engines in which it is a failure."""

    error_class: str
    breaks: Break = lambda folder: None
    load: dict[str, Any] = field(default_factory=dict)
    text: str = "Hi"
    image: str | None = None
    engines: tuple[str, ...] = ENGINES


def pickled(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def shorter(tensors: dict[str, Any]) -> None:
    name = next(name for name in sorted(tensors) if "vision" in name and tensors[name].ndim == 2)
    tensors[name] = tensors[name][:-1].contiguous()


def lose_one(tensors: dict[str, Any]) -> None:
    del tensors[next(name for name in sorted(tensors) if "layers.1.mlp" in name)]


def index_of_absent(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    text = json.dumps({"weight_map": names})
    (folder / "model.safetensors.index.json").write_text(text)


RUN_BY_MLX = both(change("config.json", model_file="odd.py"), put("odd.py", CODE))
REMOTE = both(
    change("config.json", model_type="odd", auto_map={"AutoConfig": "odd.Odd"}),
    put("odd.py", CODE),
)
TEMPLATE = "chat_template.json"
CASES: dict[str, Case] = {
    "a package of its code is missing": Case(
        "missing_package", REMOTE, {"trust_remote_code": True}, engines=("transformers",)
    ),
    "a package of its model file is missing": Case(
        "missing_package", RUN_BY_MLX, {"trust_remote_code": True}, engines=("mlx",)
    ),
    "not in the cache": Case("not_in_cache", load={"model": "someone/never", "local": False}),
    "no folder": Case("not_found", load={"model": "/nowhere/at/all"}),
    "unknown model type": Case(
        "unknown_architecture",
        change("config.json", model_type="never_heard_of", architectures=["NeverHeardOf"]),
    ),
    "code nobody allowed": Case("remote_code_not_allowed", REMOTE, engines=("transformers",)),
    "model file nobody allowed": Case("remote_code_not_allowed", RUN_BY_MLX, engines=("mlx",)),
    "weights a pointer": Case("pointer_only_weights", put(WEIGHTS, POINTER)),
    "weights cut off": Case("corrupt_weights", cut(WEIGHTS, 0.5)),
    "weights empty": Case("corrupt_weights", put(WEIGHTS, b"")),
    "header cut off": Case("corrupt_weights", put(WEIGHTS, struct.pack("<Q", 99) + b'{"a":')),
    "header no JSON": Case("corrupt_weights", put(WEIGHTS, struct.pack("<Q", 2) + b"{x")),
    "offsets beyond the end": Case(
        "corrupt_weights", header(lambda h: first(h).update(data_offsets=[0, 1 << 40]))
    ),
    "offsets negative": Case(
        "corrupt_weights", header(lambda h: first(h).update(data_offsets=[-8, 8]))
    ),
    "offsets that overlap": Case("corrupt_weights", header(overlap)),
    "shape larger than its bytes": Case(
        "corrupt_weights", header(lambda h: first(h).update(shape=[1 << 20, 1 << 20]))
    ),
    "dtype nobody knows": Case("unsupported_dtype", header(lambda h: first(h).update(dtype="F33"))),
    "no weights": Case("missing_shards", remove(WEIGHTS)),
    "a shard missing": Case("missing_shards", index_of_absent),
    "a weight missing": Case("missing_weights", weights(lose_one)),
    "a weight of another shape": Case("missing_weights", weights(shorter)),
    "another model's config": Case(
        "missing_weights", change("config.json", "text_config", num_hidden_layers=4)
    ),
    "only pickled weights": Case("pickle_not_allowed", pickled),
    "config no JSON": Case("bad_config", put("config.json", "{")),
    "config a list": Case("bad_config", put("config.json", "[]")),
    "config without a model type": Case("bad_config", change("config.json", model_type=None)),
    "config of a wrong type": Case(
        "bad_config", change("config.json", "text_config", hidden_size="many")
    ),
    "config's part no object": Case("bad_config", change("config.json", text_config=[1])),
    "config that contradicts itself": Case(
        "bad_config", change("config.json", "text_config", num_attention_heads=0)
    ),
    "architectures no list": Case("bad_config", change("config.json", architectures=7)),
    "tokenizer no JSON": Case("bad_tokenizer", cut("tokenizer.json", 0.5)),
    "tokenizer an empty object": Case("bad_tokenizer", put("tokenizer.json", "{}")),
    "tokenizer missing": Case(
        "bad_tokenizer", remove("tokenizer.json", "vocab.json", "merges.txt")
    ),
    "all of the tokenizer missing": Case(
        "bad_tokenizer",
        remove(
            "tokenizer.json",
            "vocab.json",
            "merges.txt",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ),
    ),
    "tokenizer config no JSON": Case("bad_tokenizer", put("tokenizer_config.json", "{")),
    "template broken": Case("bad_template", put(TEMPLATE, '{"chat_template": "{% for"}')),
    "template that fails": Case(
        "bad_template", put(TEMPLATE, '{"chat_template": "{{ raise_exception(\'no\') }}"}')
    ),
    "template file no JSON": Case("bad_template", put(TEMPLATE, "{")),
    "template no text": Case("bad_template", put("chat_template.jinja", b"\xff\xfe\x00")),
    "template missing": Case("bad_template", remove(TEMPLATE)),
    "processor no JSON": Case("bad_processor", put("preprocessor_config.json", "{")),
    "processor unknown": Case(
        "bad_processor",
        both(
            change("preprocessor_config.json", image_processor_type="No", processor_class="No"),
            change("processor_config.json", processor_class="No"),
            change("tokenizer_config.json", processor_class="No"),
        ),
    ),
    "processor missing": Case("bad_processor", remove("preprocessor_config.json")),
    "processor of wrong types": Case(
        "bad_processor", change("preprocessor_config.json", size="large"), image="square"
    ),
    "dtype asked that is none": Case("unsupported_dtype", load={"dtype": "float3"}),
    "weights in eight bits": Case("unsupported_dtype", odd_type("float8_e4m3fn"), engines=("mlx",)),
    "device not here": Case("unsupported_device", load={"device": "cuda:0"}),
    "device that is none": Case("unsupported_device", load={"device": "abacus"}),
    "image vanished": Case("bad_image", image="/nowhere/x.png"),
    "image garbage": Case("bad_image", image=__file__),
    "prompt too long": Case("too_long", text="word " * 9000),
}
FINE: dict[str, tuple[str, Break]] = {
    "a weight too many": (
        "not used",
        weights(lambda t: t.update(extra=t["lm_head.weight"].clone())),
    ),
}


@pytest.fixture(scope="module")
def emitted(
    tiny: Callable[[str], Path], images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The events of every case, by engine."""
    return run_all(tiny("smolvlm"), images, tmp_path_factory.mktemp("broken"))


def run_all(source: Path, images: dict[str, str], home: Path) -> dict[str, dict[str, Any]]:
    breaks = {name: case.breaks for name, case in CASES.items()}
    breaks |= {name: act for name, (_, act) in FINE.items()}
    found = {}
    for engine in ENGINES:
        cases = {}
        for name, act in breaks.items():
            case = CASES.get(name, Case(""))
            folder = Path(shutil.copytree(source, home / engine / name.replace(" ", "_")))
            act(folder)
            load = {"model": str(folder), "engine": engine, "device": "cpu", **case.load}
            image = images.get(case.image, case.image) if case.image else None
            run = {"text": case.text, "images": [image] if image else []}
            cases[name] = {"load": load, "runs": [run]}
        found[engine] = run_cases(cases, home / "cache")
    return found


def run_cases(cases: dict[str, Any], cache: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HERE / "serve_cases.py")],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(cache)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def check_hint(error: dict[str, Any]) -> None:
    """One sentence, in which no placeholder was left."""
    hint = error["hint"]
    assert hint, error
    assert not PLACEHOLDER.search(hint), hint
    assert hint.endswith((".", "`")) or re.search("pip install|hf download", hint), hint
    assert not re.search(r"\.\s+[A-Z]", hint), hint


@pytest.mark.parametrize(
    ("engine", "name"),
    [(engine, name) for name, case in CASES.items() for engine in case.engines],
)
def test_broken_checkpoint_gets_its_error_class(
    engine: str, name: str, emitted: dict[str, Any]
) -> None:
    case = CASES[name]
    errors = [event for event in emitted[engine][name] if event["event"] == "error"]
    assert len(errors) == 1, emitted[engine][name]
    error = errors[0]
    assert error["error_class"] == case.error_class, (
        error["exception"],
        error["message"],
        error["hint"],
    )
    check_hint(error)


@pytest.mark.parametrize("name", FINE)
@pytest.mark.parametrize("engine", ENGINES)
def test_harmless_defect_is_a_note(engine: str, name: str, emitted: dict[str, Any]) -> None:
    events = emitted[engine][name]
    assert [event["event"] for event in events] == ["loaded", "run_finished", "worker_exiting"], (
        events
    )
    assert any(FINE[name][0] in note for note in events[0]["notes"]), events[0]
