"""Requests that the mlx engine refuses, and the mlx-vlm defects that it avoids.

All cases are prepared first and run by one helper process; each test then looks at its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import ROOT
from workers import engine
from workers.error_classes import WorkerFailure

pytestmark = pytest.mark.model
CASES = ROOT / "tests/helpers/mlx_cases.py"
EVIL = "{{ cycler.__init__.__globals__.os.mkdir('EVIL') }}"  # escapes where there's no sandbox
STOPS = [*"aeiouns "]  # one of them occurs in any text


class BrokenCheckpoints:
    """Copies of tiny checkpoints to break, and what to ask of them."""

    def __init__(self, tiny: Callable[[str], Path], home: Path, image: str) -> None:
        self.tiny, self.home, self.image = tiny, home, image
        self.cases: dict[str, dict[str, Any]] = {}

    def add(self, name: str, family: str, *asks: dict[str, Any], **load: Any) -> Path:
        """A case on a copy of its own, which the caller may break."""
        folder = Path(shutil.copytree(self.tiny(family), self.home / name))
        asks = asks or (self.ask(look=True),)
        self.cases[name] = {"folder": str(folder), "load": load, "asks": asks}
        return folder

    def ask(self, text: str = "Hi", look: bool = False, **generation: Any) -> dict[str, Any]:
        images = [self.image] if look else []
        settings = {"max_new_tokens": 12, **generation}
        return {"turns": [{"text": text, "images": images}], "generation": settings}


def change(folder: Path, name: str, **more: Any) -> None:
    """Change some keys of a JSON file; None removes one."""
    path = folder / name
    value = json.loads(path.read_bytes()) | more
    path.write_text(json.dumps({key: v for key, v in value.items() if v is not None}))


def change_weights(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def only(weights: dict[str, Any], keep: Callable[[str], bool]) -> None:
    for name in [name for name in weights if not keep(name)]:
        del weights[name]


def break_weights(checkpoints: BrokenCheckpoints) -> None:
    def without_one(weights: dict[str, Any]) -> None:
        del weights["model.vision_model.encoder.layers.0.mlp.fc1.weight"]

    def shorter(weights: dict[str, Any]) -> None:
        name = "model.connector.modality_projection.proj.weight"
        weights[name] = weights[name][:-1].contiguous()

    def old_names(weights: dict[str, Any]) -> None:
        for name in list(weights):
            weights[name.replace("vision_tower.vision_model.", "vision_tower.")] = weights.pop(name)

    change_weights(checkpoints.add("missing", "smolvlm"), without_one)
    change_weights(checkpoints.add("mismatched", "smolvlm"), shorter)
    blind = checkpoints.add("blind", "llava", checkpoints.ask())
    change_weights(blind, lambda w: only(w, lambda name: "vision" not in name))
    change_weights(checkpoints.add("names", "llava"), old_names)
    weights = checkpoints.add("truncated", "smolvlm") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def break_files(checkpoints: BrokenCheckpoints) -> None:
    code = checkpoints.add("code", "smolvlm")
    change(code, "config.json", model_file="evil.py")
    (code / "evil.py").write_text(f"import os; os.mkdir({str(code / 'EVIL')!r})")
    change(checkpoints.add("unknown", "smolvlm"), "config.json", model_type="never_heard_of")
    (checkpoints.add("no_template", "smolvlm") / "chat_template.json").unlink()
    slotless = checkpoints.add("slotless", "llava") / "chat_template.json"
    slotless.write_text(slotless.read_text().replace("<image>", ""))
    slotless = checkpoints.add("slotless_tiles", "smolvlm") / "chat_template.json"
    slotless.write_text(slotless.read_text().replace("<image>", ""))
    garbled = checkpoints.add("garbled", "smolvlm") / "chat_template.json"
    garbled.write_text(json.dumps({"chat_template": "{% for"}))
    unsafe = checkpoints.add("unsafe", "phi3_v_mlx_4bit")
    template = EVIL.replace("EVIL", str(unsafe / "EVIL"))
    (unsafe / "chat_template.jinja").unlink(missing_ok=True)
    change(unsafe, "tokenizer_config.json", chat_template=template)
    checkpoints.add("device", "smolvlm", device="cuda:63")
    (checkpoints.add("tokenizer", "smolvlm") / "tokenizer.json").write_text("{}")


def make_settings(checkpoints: BrokenCheckpoints) -> None:
    greedy, sampled = checkpoints.ask(), checkpoints.ask(do_sample=True, seed=5)
    checkpoints.add(
        "plain", "smolvlm", greedy, checkpoints.ask(look=True), checkpoints.ask("word " * 9000)
    )
    samples = checkpoints.add("samples", "smolvlm", greedy, sampled, sampled)
    own = {"do_sample": True, "temperature": 2.0, "top_p": 0.9}
    change(samples, "generation_config.json", **own)
    refuses = checkpoints.add("greedy_by_itself", "smolvlm", sampled)
    change(refuses, "generation_config.json", do_sample=False)
    stops = checkpoints.add("stops", "smolvlm", greedy)
    others = {"num_beams": 4, "no_repeat_ngram_size": 40}
    change(stops, "generation_config.json", stop_strings=STOPS, **others)
    checkpoints.add("unsplit", "smolvlm", processor={"do_image_splitting": False})
    checkpoints.add("half", "smolvlm", greedy, dtype="bfloat16")
    start = checkpoints.add("start", "llava", checkpoints.ask(look=True)) / "chat_template.json"
    template = json.loads(start.read_text())["chat_template"]
    start.write_text(json.dumps({"chat_template": "{{ bos_token }}" + template}))
    checkpoints.add("no_start", "llava", checkpoints.ask(look=True))
    for family in ("llava", "llava_next"):
        old = checkpoints.add(f"old_{family}", family, checkpoints.ask(look=True))
        (old / "processor_config.json").unlink()
    look = checkpoints.ask(look=True)
    checkpoints.add("qwen", "qwen2_5_vl", look)
    limits = {"min_pixels": 784, "max_pixels": 784 * 2, "max_tiles": 2}
    checkpoints.add("qwen_small", "qwen2_5_vl", look, processor=limits)
    checkpoints.add("no_start_next", "llava_next", checkpoints.ask(look=True))


def run_cases(cases: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(CASES)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def checkpoints(
    tiny: Callable[[str], Path], images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> BrokenCheckpoints:
    checkpoints = BrokenCheckpoints(tiny, tmp_path_factory.mktemp("broken"), images["square"])
    break_weights(checkpoints)
    break_files(checkpoints)
    make_settings(checkpoints)
    return checkpoints


@pytest.fixture(scope="module")
def found(checkpoints: BrokenCheckpoints) -> dict[str, Any]:
    return run_cases(checkpoints.cases)


@pytest.mark.parametrize(
    ("name", "error_class"),
    [
        ("missing", "missing_weights"),
        ("mismatched", "missing_weights"),
        ("blind", "missing_weights"),
        ("names", "missing_weights"),
        ("truncated", "corrupt_weights"),
        ("code", "remote_code_not_allowed"),
        ("unknown", "unknown_architecture"),
        ("no_template", "bad_template"),
        ("garbled", "bad_template"),
        ("device", "unsupported_device"),
        ("tokenizer", "bad_tokenizer"),
    ],
)
def test_invalid_checkpoint_fails_to_load(
    name: str, error_class: str, found: dict[str, Any]
) -> None:
    assert "failure" in found[name], found[name]
    failure = found[name]["failure"]
    assert failure["error_class"] == error_class, failure
    assert failure["hint"], failure


@pytest.mark.parametrize("name", ["slotless", "slotless_tiles"])
def test_template_that_drops_images_is_detected(name: str, found: dict[str, Any]) -> None:
    (answer,) = found[name]["answers"]
    assert answer["error_class"] == "image_ignored", answer
    assert answer["hint"]


def test_checkpoint_code_never_runs(checkpoints: BrokenCheckpoints, found: dict[str, Any]) -> None:
    """mlx-vlm would run a config's model_file, and phi3_v's template outside of a sandbox."""
    assert "SecurityError" in found["unsafe"]["failure"]["exception"], found["unsafe"]
    assert not list(checkpoints.home.rglob("EVIL"))


def test_checkpoint_sampling_defaults_do_not_affect_greedy(found: dict[str, Any]) -> None:
    """mlx-vlm takes what is left out from the checkpoint; so nothing is left out."""
    plain = found["plain"]["answers"][0]["raw_text"]
    greedy, one, two = (answer["raw_text"] for answer in found["samples"]["answers"])
    assert greedy == plain
    assert one == two != plain
    (asked,) = found["greedy_by_itself"]["answers"]
    assert asked["raw_text"] != plain  # do_sample overrides the checkpoint's default


def test_stop_strings_end_an_answer_and_unused_settings_are_noted(found: dict[str, Any]) -> None:
    plain = found["plain"]["answers"][0]["raw_text"]
    (answer,) = found["stops"]["answers"]
    text = answer["raw_text"]
    assert plain.startswith(text)
    assert any(stop in text for stop in STOPS)
    assert answer["finish_reason"] == "stop"
    assert answer["output_tokens"] < 12
    assert answer["notes"] == [
        "generation_config.json: set aside, since a run is one greedy or sampled answer: num_beams",
        "generation_config.json: not used by this engine: no_repeat_ngram_size",
    ]


def test_prompt_longer_than_the_context_is_refused(found: dict[str, Any]) -> None:
    assert found["plain"]["answers"][2]["error_class"] == "too_long"


def test_image_splitting_can_be_disabled(found: dict[str, Any]) -> None:
    (answer,) = found["unsplit"]["answers"]
    assert (answer["image_tiles"], answer["image_tokens"]) == (1, 4)
    assert found["plain"]["answers"][1]["image_tiles"] == 17


def test_requested_dtype_is_used(found: dict[str, Any]) -> None:
    loaded = found["half"]["loaded"]
    assert (loaded["dtype"], loaded["dtype_reason"]) == ("bfloat16", "as requested")
    assert loaded["device_bytes"] < found["plain"]["loaded"]["device_bytes"]


def test_start_token_is_not_doubled(found: dict[str, Any]) -> None:
    (with_it,), (without,) = found["start"]["answers"], found["no_start"]["answers"]
    assert with_it["input_tokens"] == without["input_tokens"]
    assert with_it["raw_text"] == without["raw_text"]


@pytest.mark.parametrize(
    ("old", "new"), [("old_llava", "no_start"), ("old_llava_next", "no_start_next")]
)
def test_processor_without_its_settings_takes_them_from_the_config(
    found: dict[str, Any], old: str, new: str
) -> None:
    (filled,), (complete,) = found[old]["answers"], found[new]["answers"]
    for name in ("raw_text", "input_tokens", "image_tokens"):
        assert filled[name] == complete[name]
    assert "taken from config.json: patch_size 7" in found[old]["loaded"]["notes"][0]


def test_processor_settings_are_honoured_or_noted(found: dict[str, Any]) -> None:
    (plain,), (small,) = found["qwen"]["answers"], found["qwen_small"]["answers"]
    assert small["image_tokens"] < plain["image_tokens"]
    notes = found["qwen_small"]["loaded"]["notes"]
    assert "the processor setting 'max_tiles' changed nothing" in notes[0]
    assert len(notes) == 1


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "missing_packages", lambda name: ["mlx_vlm"])
    with pytest.raises(WorkerFailure) as caught:
        engine.make_engine("mlx")
    assert caught.value.error_class == "missing_package"
    assert "mlx_vlm" in caught.value.message
    assert "pip install" in str(caught.value.hint)
