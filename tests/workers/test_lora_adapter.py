"""LoRA adapters are refused by plan and run, with the same sentence and the way out."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load
from schemas.events import Error
from workers import preflight
from workers.checkpoint import read_config
from workers.error_classes import WorkerFailure
from workers.lora_adapter import refuse_adapter
from workers.main_loop import serve

DEMO = Path(preflight.__file__).parent / "demo_model"
BASE = "its/base"


def alone(folder: Path, base: object = BASE, weights: str = "adapter_model.safetensors") -> Path:
    """A folder with an adapter only."""
    folder.mkdir()
    config = {"peft_type": "LORA", "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / weights).write_bytes(b"")
    return folder


def with_adapter(folder: Path, *names: str) -> Path:
    """The demo model with files of an adapter."""
    shutil.copytree(DEMO, folder)
    for name in names:
        (folder / name).write_text("{}")
    return folder


def refusal(folder: Path) -> tuple[str, str]:
    """The message and hint of the run."""
    with pytest.raises(WorkerFailure) as failure:
        read_config(folder)
    assert failure.value.error_class == "unsupported"
    assert failure.value.hint
    return failure.value.message, failure.value.hint


@pytest.mark.parametrize("engine", ["auto", "transformers", "mlx"])
@pytest.mark.parametrize("kind", ["alone", "with weights"])
def test_plan_and_run_refuse_with_the_same_sentence(tmp_path: Path, kind: str, engine: str) -> None:
    folder = tmp_path / "x"
    alone(folder) if kind == "alone" else with_adapter(folder, "adapter_config.json")
    load = Load(model=str(folder), local=True, engine=engine)
    planned = preflight.check_load(load)["problem"]
    events: list[Any] = []
    serve(io.BytesIO(json.dumps(asdict(load)).encode() + b"\n"), events.append)
    (failed,) = [event for event in events if isinstance(event, Error)]
    message, hint = refusal(folder)
    found = [planned[key] for key in ("error_class", "message", "hint")]
    assert found == ["unsupported", message, hint]
    assert (failed.error_class, failed.message, failed.hint) == ("unsupported", message, hint)


def test_adapter_alone_is_merged_with_its_base(tmp_path: Path) -> None:
    message, hint = refusal(alone(tmp_path / "my adapter"))
    assert (
        "is an adapter (LoRA) without its base model its/base (adapter_config.json, adapter_model"
        in message
    )
    words = shlex.split(hint.split("pip install peft torchvision; ")[1].split(";  then")[0])
    place = words.index("-c")
    compile(words[place + 1], "merge", "exec")
    assert "merge_and_unload" in words[place + 1]
    assert words[place + 2 : place + 4] == ["its/base", str(tmp_path / "my adapter")]


@pytest.mark.parametrize(
    "names",
    [
        ["adapter_config.json"],
        ["adapter_config.json", "adapter_model.safetensors"],
        ["adapter_model.safetensors"],
        ["adapter_config.json", "adapter_model.bin"],
        ["adapters.safetensors"],
    ],
)
def test_adapter_next_to_weights_can_be_moved(tmp_path: Path, names: list[str]) -> None:
    message, hint = refusal(with_adapter(tmp_path / "x", *names))
    assert "next to its weights" in message
    assert all(name in message and f"/x/{name} " in hint for name in names)
    assert f"mkdir {tmp_path}/x-adapter; mv " in hint
    for name in names:
        (tmp_path / "x" / name).unlink()
    assert read_config(tmp_path / "x")


@pytest.mark.parametrize("base", ["/models/its-base", "its/base", "../base-1.5"])
def test_base_is_named_in_the_command(tmp_path: Path, base: str) -> None:
    assert f" {base} {tmp_path / 'x'} MERGED" in refusal(alone(tmp_path / "x", base))[1]


def test_adapter_with_a_config_but_no_weights_is_alone(tmp_path: Path) -> None:
    folder = alone(tmp_path / "x")
    shutil.copy(DEMO / "config.json", folder)
    (folder / "training_args.bin").write_bytes(b"x")
    assert "without its base model" in refusal(folder)[0]


def test_adapter_of_mlx_vlm_is_not_sent_to_peft(tmp_path: Path) -> None:
    _, hint = refusal(alone(tmp_path / "x", weights="adapters.safetensors"))
    assert "mlx-vlm has no command" in hint
    assert "merge_and_unload" not in hint


@pytest.mark.parametrize(
    "base", ["x; rm -rf ~", "$(x)", "`x`", "-rf", 'a"b', "a\nb", "", 5, None, ["x"], "../../x y"]
)
def test_odd_base_names_are_not_put_into_a_command(tmp_path: Path, base: object) -> None:
    message, hint = refusal(alone(tmp_path / "x", base))
    assert " BASE " in hint
    assert "is an adapter (LoRA) without its base model (" in message


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "\udcff"])
def test_broken_adapter_config_is_refused_too(tmp_path: Path, content: str) -> None:
    folder = alone(tmp_path / "x")
    path = folder / "adapter_config.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert "is an adapter (LoRA) without its base model (" in refusal(folder)[0]


def test_hub_repository_with_an_adapter_is_refused_before_the_download() -> None:
    with pytest.raises(WorkerFailure, match="them/it is an adapter"):
        refuse_adapter("them/it", {"adapter_config.json": 1, "adapter_model.safetensors": 2})
    refuse_adapter("them/it", {"config.json": 1, "model.safetensors": 2})
