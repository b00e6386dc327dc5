"""A checkpoint's family is selected by its config, and a family is plain data."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.commands import Load
from schemas.family import Family
from tests.helpers.paths import ROOT
from workers import describe, engine, families
from workers.checkpoint import Checkpoint
from workers.error_classes import WorkerFailure


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"model_type": "smolvlm"}, "smolvlm"),
        ({"model_type": "idefics3"}, "smolvlm"),
        ({"architectures": ["Idefics3ForConditionalGeneration"]}, "smolvlm"),
        ({"model_type": "something_new"}, "generic"),
        ({"architectures": None, "auto_map": None}, "generic"),
    ],
)
def test_family_is_selected_by_its_config(config: dict[str, Any], name: str) -> None:
    assert families.find_family(config).FAMILY.name == name


def test_family_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = SimpleNamespace(FAMILY=Family(name="mine", title="", auto_map=("MyModel",)), HOOKS={})
    monkeypatch.setattr(EntryPoint, "load", lambda self: theirs)
    point = EntryPoint("mine", "x:y", families.GROUP)
    monkeypatch.setattr(families, "entry_points", lambda group: [point])
    config = {"auto_map": {"AutoModelForCausalLM": "modeling_mine.MyModel"}}
    assert families.find_family(config) is theirs


def test_engine_is_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "missing_packages", lambda name: [])
    family = families.find_family({"model_type": "smolvlm"})
    plain = Checkpoint(folder=Path(), config={})
    ask = Load(model="m", local=True)
    monkeypatch.setattr(sys, "platform", "linux")
    assert engine.choose_engine(plain, family, ask) == "transformers"
    mlx = Checkpoint(folder=Path(), config={}, weights_format="mlx")
    assert engine.choose_engine(mlx, family, ask) == "mlx"
    asked = Load(model="m", local=True, engine="transformers")
    assert engine.choose_engine(mlx, family, asked) == "transformers"


def test_engine_that_is_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "missing_packages", lambda name: ["mlx_vlm"])
    with pytest.raises(WorkerFailure) as failure:
        engine.make_engine("mlx")
    assert failure.value.error_class == "missing_package"
    assert "mlx_vlm" in failure.value.message
    assert failure.value.hint


def test_describe_imports_no_model_library() -> None:
    code = (
        "import sys; from workers import describe; describe.describe();"
        "heavy = {'torch', 'transformers', 'mlx', 'huggingface_hub', 'pydantic', 'PIL'};"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_describe_prints_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["describe"])
    describe.main()
    printed = json.loads(capsys.readouterr().out)
    assert [family["name"] for family in printed["families"]][-1] == "generic"
    assert printed["offline"] is True


def test_check_finds_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    missing = describe.check_model("someone/model")
    assert missing["problem"]["error_class"] == "not_in_cache"
    snapshot = tmp_path / "models--someone--model" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "smolvlm"}')
    found = describe.check_model("someone/model")
    assert found["folder"] == str(snapshot)
    assert found["family"] == "smolvlm"
    assert found["problem"]["error_class"] == "missing_shards"
    assert describe.check_model("../etc")["folder"] is None


def test_every_module_is_a_family_and_each_checkpoint_matches_one() -> None:
    files = {path.stem for path in Path(families.__file__).parent.glob("*.py")}
    modules = families.all_families()
    assert {module.FAMILY.name for module in modules} == files - {"__init__"}
    for key in ("model_types", "architectures", "auto_map", "aliases", "example_ids"):
        words = [word for module in modules for word in getattr(module.FAMILY, key)]
        assert len(words) == len(set(words)), key
    for module in modules:
        for hooks in module.HOOKS.values():
            path, _, attribute = hooks.partition(":")
            spec = importlib.util.find_spec(path)
            assert spec is not None
            assert spec.origin is not None
            assert f"class {attribute}" in Path(spec.origin).read_text()


def test_new_file_in_the_folder_is_a_family(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (
        "from schemas.family import Family\n"
        "FAMILY = Family(name='brand_new', title='New', model_types=('brand_new',))\n"
        "HOOKS: dict[str, str] = {}\n"
    )
    (tmp_path / "brand_new.py").write_text(text)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    try:
        assert families.find_family({"model_type": "brand_new"}).FAMILY.title == "New"
    finally:
        sys.modules.pop("workers.families.brand_new", None)
