"""Packages that a checkpoint needs, named before any model library is imported."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load
from schemas.shared.packages import MissingPackages, describe_missing, install_command
from workers import describe, engine, fetch, preflight
from workers.checkpoint import read_checkpoint
from workers.engine import choose_engine
from workers.error_classes import WorkerFailure
from workers.families import find_family
from workers.quantisation import QUANTISERS
from workers.requirements import check_environment

DEMO = Path(preflight.__file__).parent / "demo_model"
TO_INSTALL = {
    "aqlm": "'aqlm[cpu,gpu]'",
    "auto-round": "auto_round",
    "awq": "gptqmodel",
    "bitsandbytes": "bitsandbytes",
    "compressed-tensors": "compressed_tensors",
    "eetq": "kernels",
    "fbgemm_fp8": "fbgemm_gpu",
    "fp8": "accelerate",
    "gptq": "optimum gptqmodel",
    "higgs": "flute-kernel fast_hadamard_transform",
    "hqq": "hqq",
    "mxfp4": "accelerate",
    "quanto": "optimum-quanto",
    "spqr": "'spqr_quant[gpu]'",
    "torchao": "torchao",
    "vptq": "vptq",
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with the engines' packages and nothing else."""
    there = {name for info in engine.engines().values() for name in info.packages} | {"num2words"}
    for module in (engine, sys.modules["workers.requirements"]):
        monkeypatch.setattr(module, "is_installed", lambda name: name in there)


def copy(folder: Path, **config: Any) -> Load:
    """The demo model with other keys in its config.json."""
    shutil.copytree(DEMO, folder)
    whole = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(whole | config))
    return Load(model=str(folder), local=True, engine="transformers")


def refuse(ask: Load) -> WorkerFailure:
    """The failure of a worker that is to load the folder."""
    checkpoint = read_checkpoint(Path(ask.model))
    family = find_family(checkpoint.config)
    with pytest.raises(WorkerFailure) as refusal:
        check_environment(checkpoint, family, choose_engine(checkpoint, family, ask), ask)
    return refusal.value


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("method", TO_INSTALL)
@pytest.mark.parametrize("nested", [False, True])
def test_packages_of_a_quantisation_are_named(method: str, nested: bool, tmp_path: Path) -> None:
    scheme: dict[str, Any] = {"quantization_config": {"quant_method": method}}
    ask = copy(tmp_path / "model", **({"text_config": scheme} if nested else scheme))
    facts = preflight.check_load(ask)
    assert facts["problem"] is None
    missing = [MissingPackages(**need) for need in facts["missing_packages"]]
    assert TO_INSTALL[method] in install_command(missing)
    assert describe_missing(missing, "X").startswith(f"weights quantised by {method} need ")

    failure = refuse(ask)
    assert failure.error_class == "missing_package"
    assert describe_missing(missing, sys.executable)[1:] == failure.message[1:], "plan's sentence"
    assert install_command(missing, sys.executable) in str(failure.hint)
    checked = describe.check_model(ask.model)
    if checked["engine"] == ask.engine:
        assert checked["install"] == install_command(missing, sys.executable)


@pytest.mark.usefixtures("bare")
def test_bitsandbytes_is_recognised_without_a_method(tmp_path: Path) -> None:
    ask = copy(tmp_path / "model", quantization_config={"load_in_4bit": True})
    assert "bitsandbytes" in refuse(ask).message


def test_installed_quantisation_packages_are_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (engine, sys.modules["workers.requirements"]):
        monkeypatch.setattr(module, "is_installed", lambda name: True)
    for method in QUANTISERS:
        ask = copy(tmp_path / method, quantization_config={"quant_method": method})
        facts = preflight.check_load(ask)
        assert (facts["problem"], facts["missing_packages"]) == (None, [])


def test_transformers_4_reads_awq_with_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.quantisation.library_major", lambda name: 4)
    ask = copy(tmp_path / "model", quantization_config={"quant_method": "awq"})
    assert "autoawq" in refuse(ask).message


@pytest.mark.parametrize(
    ("config", "wrong", "right"),
    [
        ({"quantization": {"bits": 4, "group_size": 64}}, "transformers", "mlx"),
        ({"quantization_config": {"quant_method": "gptq"}}, "mlx", "transformers"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "mlx", "transformers"),
    ],
)
def test_weights_of_another_engine_are_refused(
    config: dict[str, Any], wrong: str, right: str, tmp_path: Path
) -> None:
    ask = replace(copy(tmp_path / "model", **config), engine=wrong)
    problem = preflight.check_load(ask)["problem"]
    failure = refuse(ask)
    assert failure.error_class == problem["error_class"] == "unsupported"
    assert failure.message == problem["message"]
    assert f"Choose engine: {right}" in problem["hint"]
    assert preflight.check_load(replace(ask, engine=right))["problem"] is None


def test_engine_that_cannot_read_the_weights_is_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "may_be_chosen", lambda info: True)
    monkeypatch.setattr(engine, "missing_packages", lambda name: [])
    ask = replace(copy(tmp_path / "model", quantization_config={"quant_method": "awq"}))
    checkpoint = read_checkpoint(Path(ask.model))
    for name in ("qwen2_5_vl", "gemma3", "smolvlm"):
        family = next(f for f in describe.all_families() if f.FAMILY.name == name)
        assert choose_engine(checkpoint, family, replace(ask, engine="auto")) == "transformers"


@pytest.mark.parametrize("name", ["transformers", "mlx"])
def test_missing_extra_is_named_before_a_fetch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    for module in (engine, fetch, preflight):
        monkeypatch.setattr(module, "is_installed", lambda name: False)
    ask = Load(model="some/model", local=False, engine=name)
    (need,) = preflight.check_load(ask)["missing_packages"]
    assert "huggingface_hub" in need["packages"]
    command = install_command([MissingPackages(**need)])
    assert command == f"pip install 'vlmsweep[{name}]'"
    with pytest.raises(WorkerFailure) as failure:
        fetch.fetch(ask, lambda event: None)
    assert failure.value.error_class == "missing_package"
    assert failure.value.message.startswith(f"The {name} engine needs ")
    assert f"pip install 'vlmsweep[{name}]'" in str(failure.value.hint)
