"""Packages that a checkpoint needs, named before any model library is imported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load
from schemas.shared.packages import MissingPackages, describe_missing, install_command
from tests.helpers.paths import ROOT
from workers import describe, engine, fetch, library_source, preflight
from workers.checkpoint import read_checkpoint
from workers.engine import choose_engine
from workers.error_classes import WorkerFailure, classify
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


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def missing_of(ask: Load) -> dict[str, list[str]]:
    """The missing packages by what needs them, from the check and from the worker's refusal."""
    facts = preflight.check_load(ask)
    assert facts["problem"] is None
    if facts["missing_packages"]:
        missing = [MissingPackages(**need) for need in facts["missing_packages"]]
        assert refuse(ask).message[1:] == describe_missing(missing, sys.executable)[1:]
    return {need["needed_by"]: list(need["packages"]) for need in facts["missing_packages"]}


CODE = """
import json, absent_top
from absent_dotted.part import thing
from .layers import Layer
try:
    import absent_guarded
except ImportError:
    absent_guarded = None
if is_flash_attn_2_available():
    from absent_flash import attention
def lazy():
    import absent_lazy
class Odd:
    from absent_class import x
"""
LAYERS = """
from typing import TYPE_CHECKING
from . import deeper
from .absent_module import nothing
if TYPE_CHECKING:
    import absent_typing
def lazy():
    import absent_in_function
"""


@pytest.mark.usefixtures("bare")
def test_packages_that_remote_code_imports_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto_map = {"AutoConfig": "odd.Odd", "AutoModel": ["odd.Odd", None]}
    ask = copy(tmp_path / "model", model_type="odd", architectures=["Odd"], auto_map=auto_map)
    monkeypatch.setattr(sys.modules["workers.requirements"], "is_installed", is_not_absent)
    put(tmp_path / "model", "odd.py", CODE)
    put(tmp_path / "model", "layers.py", LAYERS)
    put(tmp_path / "model", "deeper.py", "import absent_deep\nfrom .odd import Odd\n")
    put(tmp_path / "model", "unused.py", "import absent_unused\n")
    put(tmp_path / "model", "image.py", "import absent_image\n")
    put(
        tmp_path / "model",
        "preprocessor_config.json",
        json.dumps({"auto_map": {"AutoImageProcessor": "image.Image"}}),
    )
    assert preflight.check_load(ask)["problem"]["error_class"] == "remote_code_not_allowed"
    assert missing_of(replace(ask, trust_remote_code=True)) == {
        "its code needs": [
            "absent_class",
            "absent_deep",
            "absent_dotted",
            "absent_image",
            "absent_lazy",
            "absent_top",
        ]
    }
    put(tmp_path / "model", "odd.py", "this is not Python")
    assert missing_of(replace(ask, trust_remote_code=True)) == {"its code needs": ["absent_image"]}


def is_not_absent(name: str) -> bool:
    return not name.startswith("absent")


@pytest.mark.usefixtures("bare")
def test_packages_that_a_model_file_of_mlx_imports_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = copy(tmp_path / "model", model_file="odd.py")
    monkeypatch.setattr(sys.modules["workers.requirements"], "is_installed", is_not_absent)
    put(tmp_path / "model", "odd.py", "import absent_top\ndef f():\n    import absent_lazy\n")
    ask = replace(ask, engine="mlx", trust_remote_code=True)
    assert missing_of(ask) == {"its code needs": ["absent_top"]}


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("config", "processor", "image_processor", "packages"),
    [
        ({"model_type": "gemma4"}, "Gemma4Processor", None, ["torchvision"]),
        ({"model_type": "llama4"}, "Llama4Processor", "Llama4ImageProcessorFast", ["torchvision"]),
        ({"model_type": "lfm2_vl"}, "Lfm2VlProcessor", "Lfm2VlImageProcessor", ["torchvision"]),
        ({"model_type": "internvl"}, "InternVLProcessor", "GotOcr2ImageProcessorFast", []),
        ({"model_type": "glm4v"}, "Glm4vProcessor", "Glm4vImageProcessorFast", []),
        ({"model_type": "gemma3n"}, "Gemma3nProcessor", "SiglipImageProcessorFast", ["timm"]),
        (
            {"model_type": "llava", "vision_config": {"model_type": "timm_wrapper"}},
            "LlavaProcessor",
            "CLIPImageProcessor",
            ["timm"],
        ),
    ],
)
def test_packages_of_a_processor_are_named(
    config: dict[str, Any],
    processor: str,
    image_processor: str | None,
    packages: list[str],
    tmp_path: Path,
) -> None:
    if not library_source.transformers_types():
        pytest.skip("transformers is not installed")
    ask = copy(tmp_path / "model", architectures=["Other"], **config)
    named = {"processor_class": processor, "image_processor_type": image_processor}
    for name in ("processor_config.json", "preprocessor_config.json"):
        put(tmp_path / "model", name, json.dumps(named))
    assert [name for names in missing_of(ask).values() for name in names] == packages
    checked = describe.check_model(ask.model)
    if checked["engine"] == "transformers":
        assert checked["missing_packages"] == packages


@pytest.mark.parametrize("name", ["transformers", "mlx"])
def test_unknown_architecture_names_the_library_that_lacks_it(name: str, tmp_path: Path) -> None:
    if engine.missing_packages(name):
        pytest.skip(f"{name} is not installed")
    ask = copy(tmp_path / "model", model_type="never_heard_of", architectures=["NeverHeardOf"])
    ask = replace(ask, engine=name)
    problem = preflight.check_load(ask)["problem"]
    failure = refuse(ask)
    assert failure.error_class == problem["error_class"] == "unknown_architecture"
    assert failure.message == problem["message"]
    library = {"transformers": "transformers", "mlx": "mlx-vlm"}[name]
    assert f"pip install -U {library}`" in problem["hint"]


def test_architecture_that_only_transformers_has_is_not_updated_for(tmp_path: Path) -> None:
    if engine.missing_packages("mlx"):
        pytest.skip("mlx is not installed")
    ask = replace(copy(tmp_path / "model", model_type="video_llava"), engine="mlx")
    hint = preflight.check_load(ask)["problem"]["hint"]
    assert "choose engine: transformers" in hint
    assert "-U transformers" not in hint
    failure = classify(ValueError("Model type video_llava not supported. Error: x"), "load")
    assert failure.error_class == "unknown_architecture"
    assert "mlx-vlm" in str(failure.hint)
    assert "-U transformers" not in str(failure.hint)


def test_every_model_type_of_transformers_is_read_from_its_source() -> None:
    code = (
        "from transformers.models.auto import modeling_auto as m; from workers import "
        "library_source as s; assert set(m.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) == "
        "s.transformers_types(), s.transformers_types()"
    )
    if engine.missing_packages("transformers"):
        pytest.skip("transformers is not installed")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
