"""The transformers engine in this process: what it refuses, and conversations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.commands import Load, Run, Turn
from schemas.events import Event, RunFinished, Text, WorkerPhase
from schemas.generation import Generation
from workers.checkpoint import read_checkpoint
from workers.conversation import answer_all
from workers.engines.transformers import TransformersEngine
from workers.engines.transformers.prompt import has_second_bos
from workers.error_classes import WorkerFailure, classify
from workers.families import find_family

pytestmark = pytest.mark.model
SHORT = Generation(max_new_tokens=12)


def load(folder: Path, **more: Any) -> TransformersEngine:
    checkpoint = read_checkpoint(folder)
    engine = TransformersEngine()
    ask = Load(**{"model": str(folder), "local": True, "device": "cpu", **more})
    engine.load(checkpoint, find_family(checkpoint.config), ask, lambda event: None)
    return engine


def answer(engine: TransformersEngine, *turns: Turn, generation: Generation = SHORT) -> RunFinished:
    emitted: list[Event] = []
    run = Run(run=1, turns=turns, generation=generation)
    finished = answer_all(run, engine, emitted.append, lambda phase: None)
    assert "".join(e.text for e in emitted if isinstance(e, Text)) == finished.raw_text
    return finished


def refusal(act: Callable[[], object], phase: WorkerPhase = "load") -> WorkerFailure:
    """Error class of a failure of the worker or of the library."""
    try:
        act()
    except Exception as error:
        return classify(error, phase)
    raise AssertionError("nothing failed")


@pytest.fixture(scope="module")
def engine(tiny: Callable[[str], Path]) -> TransformersEngine:
    return load(tiny("smolvlm2"))


@pytest.fixture
def copy(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("smolvlm"), tmp_path / "copy"))


def test_text_only_prompt_is_answered(engine: TransformersEngine) -> None:
    found = answer(engine, Turn(text="Hi"))
    assert (found.image_tokens, found.image_tiles, found.output_tokens) == (0, None, 12)
    assert found.finish_reason == "length"


def test_several_images_are_answered(engine: TransformersEngine, images: dict[str, str]) -> None:
    one = answer(engine, Turn(text="Hi", images=(images["square"],)))
    two = answer(engine, Turn(text="Hi", images=(images["square"], images["wide"])))
    assert (one.image_tiles, one.image_tokens) == (17, 68)
    assert (two.image_tiles, two.image_tokens) == (17 + 13, 68 + 52)


def test_conversation_continues_from_the_model_answer(
    engine: TransformersEngine, images: dict[str, str]
) -> None:
    first, second = Turn(text="Hi", images=(images["dot"],)), Turn(text="And?")
    alone = answer(engine, first)
    both = answer(engine, first, second)
    emitted = answer(engine, first, Turn(role="assistant", text=alone.text), second)
    assert both.raw_text == emitted.raw_text != answer(engine, second).raw_text
    assert both.input_tokens == emitted.input_tokens
    assert both.transcript == [
        {"role": "user", "text": "Hi"},
        {"role": "assistant", "text": alone.text},
        {"role": "user", "text": "And?"},
        {"role": "assistant", "text": both.text},
    ]


def test_sampling_is_repeatable_and_restores_the_random_state(engine: TransformersEngine) -> None:
    sampled = Generation(max_new_tokens=12, do_sample=True, temperature=2.0, seed=3)
    greedy = answer(engine, Turn(text="Hi")).raw_text
    texts = [answer(engine, Turn(text="Hi"), generation=sampled).raw_text for _ in range(2)]
    assert texts[0] == texts[1] != greedy
    assert answer(engine, Turn(text="Hi")).raw_text == greedy


def test_checkpoint_sampling_defaults_do_not_affect_greedy(
    copy: Path, tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    plain = answer(load(tiny("smolvlm")), Turn(text="Hi"))
    config = json.loads((copy / "generation_config.json").read_text())
    config |= {"do_sample": True, "temperature": 0.3, "top_p": 0.5, "top_k": 3}
    (copy / "generation_config.json").write_text(json.dumps(config))
    assert answer(load(copy), Turn(text="Hi")).raw_text == plain.raw_text
    assert "generation flags are not valid" not in caplog.text


def test_end_token_stops_and_is_counted(copy: Path, tiny: Callable[[str], Path]) -> None:
    hooks = load(tiny("smolvlm"))._hooks
    inputs = hooks.prepare([Turn(text="Hi")])
    out = hooks.model.generate(**inputs.tensors, max_new_tokens=12, do_sample=False)
    ids = out[0, inputs.input_tokens :].tolist()
    place = next(n for n in range(2, 12) if ids[n] not in ids[:n])
    config = json.loads((copy / "generation_config.json").read_text())
    config["eos_token_id"] = ids[place]
    (copy / "generation_config.json").write_text(json.dumps(config))
    ended = answer(load(copy), Turn(text="Hi"))
    assert (ended.finish_reason, ended.output_tokens) == ("stop", place + 1)
    assert ended.raw_text == hooks.decode(ids[: place + 1])


@pytest.mark.parametrize("family", ["llava", "llava_next"])
def test_generic_path_equals_a_direct_call(
    family: str, tiny: Callable[[str], Path], images: dict[str, str]
) -> None:
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    engine, processor = load(tiny(family)), AutoProcessor.from_pretrained(tiny(family))
    model = AutoModelForImageTextToText.from_pretrained(tiny(family))
    texts = set()
    for path in images.values():
        turn = Turn(text="Describe this image.", images=(path,))
        found = answer(engine, turn, generation=Generation(max_new_tokens=24))
        content = [{"type": "image"}, {"type": "text", "text": turn.text}]
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        inputs = processor(text=prompt, images=Image.open(path), return_tensors="pt")
        size = inputs["input_ids"].shape[1]
        out = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, size:]
        assert found.raw_text == processor.tokenizer.decode(out)
        assert (found.input_tokens, found.output_tokens) == (size, len(out))
        assert found.image_tokens == int((inputs["input_ids"] == model.config.image_token_id).sum())
        assert found.image_tokens >= 16
        assert found.output_tokens >= 20
        texts.add(found.raw_text)
    assert len(texts) == len(images)


def test_start_token_is_not_doubled(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny("llava"), tmp_path / "copy"))
    template = json.loads((folder / "chat_template.json").read_text())["chat_template"]
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "<s>" + template}))
    with_it, without = load(folder), load(tiny("llava"))
    inputs = [each._hooks.prepare([Turn(text="Hi")]) for each in (with_it, without)]
    starts = [(each.tensors["input_ids"] == 1).sum().item() for each in inputs]
    assert starts == [1, 1]


@pytest.mark.parametrize("family", ["llava", "llava_next"])
def test_processor_without_its_settings_takes_them_from_the_config(
    tiny: Callable[[str], Path], tmp_path: Path, images: dict[str, str], family: str
) -> None:
    folder = Path(shutil.copytree(tiny(family), tmp_path / "copy"))
    (folder / "processor_config.json").unlink()
    old, new = load(folder), load(tiny(family))
    turn = Turn(text="Hi", images=(images["wide"],))
    found, expected = answer(old, turn), answer(new, turn)
    assert (found.raw_text, found.input_tokens) == (expected.raw_text, expected.input_tokens)
    assert found.image_tokens == expected.image_tokens
    notes = old._hooks.notes
    assert any("taken from config.json: patch_size 7" in note for note in notes)
    assert not any("config.json" in note for note in new._hooks.notes)


def test_second_start_token_is_seen() -> None:
    tokenizer = SimpleNamespace(bos_token="<s>", bos_token_id=1)
    assert has_second_bos(tokenizer, "<s>Hi", [1, 1, 7])
    assert not has_second_bos(tokenizer, "<s>Hi", [1, 7])
    assert not has_second_bos(tokenizer, "<s><s>Hi", [1, 1, 7])  # the template's own
    assert not has_second_bos(tokenizer, "Hi", [1, 1, 7])
    assert not has_second_bos(SimpleNamespace(bos_token=None), "Hi", [7])


def test_images_without_a_token_id_are_counted(
    engine: TransformersEngine, images: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.engines.transformers import adapter

    monkeypatch.setattr(adapter, "image_token_id", lambda model, processor: None)
    found = answer(engine, Turn(text="Hi", images=(images["dot"],)))
    assert found.image_tokens
    assert found.image_tokens >= 68


def test_image_splitting_can_be_disabled(
    tiny: Callable[[str], Path], images: dict[str, str]
) -> None:
    engine = load(tiny("smolvlm2"), processor={"do_image_splitting": False})
    found = answer(engine, Turn(text="Hi", images=(images["square"],)))
    assert (found.image_tiles, found.image_tokens) == (1, 4)


def test_template_that_drops_images_is_detected(copy: Path, images: dict[str, str]) -> None:
    template = (copy / "chat_template.json").read_text().replace("<image>", "")
    (copy / "chat_template.json").write_text(template)
    engine = load(copy)
    turn = Turn(text="Hi", images=(images["square"],))
    assert refusal(lambda: answer(engine, turn), "prefill").error_class == "image_ignored"


@pytest.mark.parametrize("template", [None, "{% for m in messages %}{{ m.content }}{% endfor %}"])
def test_missing_image_template_is_refused(copy: Path, template: str | None) -> None:
    (copy / "chat_template.json").unlink()
    if template:
        (copy / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert refusal(lambda: load(copy)).error_class == "bad_template"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ 'User: ' + messages[0]['content'] }}", "can only concatenate str"),
        ("{{ messages[0]['content'].strip() }}", "has no attribute 'strip'"),
        ("{{ 3 // (messages | length - 1) }}", "ZeroDivisionError"),
        ("{{ messages[0]['content'][0]['text'] + 1 }}", "TypeError"),
        ("{{ raise_exception('trust_remote_code is out of memory') }}", "out of memory"),
        ("{{ strftime_now(3) }}", "The chat template failed"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "RecursionError"),
    ],
)
def test_what_a_template_raises_is_its_fault(copy: Path, template: str, message: str) -> None:
    (copy / "chat_template.json").unlink()
    (copy / "chat_template.jinja").write_text(template)
    failure = refusal(lambda: load(copy))
    assert failure.error_class == "bad_template", failure.message
    assert message in failure.message
    assert "template" in (failure.hint or "")


def test_text_only_template_gets_a_hint_about_image_slots(copy: Path) -> None:
    (copy / "chat_template.json").unlink()
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}"
    (copy / "chat_template.jinja").write_text(template)
    assert "image slots" in (refusal(lambda: load(copy)).hint or "")


@pytest.mark.parametrize("size", [(2048, 10), (10, 2048)])
def test_extreme_aspect_ratio_is_unsupported(
    tiny: Callable[[str], Path], tmp_path: Path, size: tuple[int, int]
) -> None:
    from PIL import Image

    engine = load(tiny("qwen2_5_vl"))
    Image.new("RGB", size).save(tmp_path / "long.png")
    turn = Turn(text="Hi", images=(str(tmp_path / "long.png"),))
    failure = refusal(lambda: answer(engine, turn), "prefill")
    assert failure.error_class == "unsupported"
    assert "204.8" in failure.message
    assert "Crop" in (failure.hint or "")


@pytest.mark.parametrize("fault", ["missing", "mismatched"])
def test_checkpoint_with_missing_weights_is_refused(copy: Path, fault: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    name = next(name for name in sorted(weights) if "vision" in name and weights[name].ndim == 2)
    weight = weights.pop(name)
    if fault == "mismatched":
        weights[name] = weight[:-1].contiguous()
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    failure = refusal(lambda: load(copy))
    assert failure.error_class == "missing_weights", failure.message
    assert failure.hint


def test_unknown_architecture_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text()) | {"model_type": "never_heard_of"}
    config["architectures"] = ["NeverHeardOf"]
    (copy / "config.json").write_text(json.dumps(config))
    assert refusal(lambda: load(copy)).error_class == "unknown_architecture"


def test_invalid_image_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"not an image")
    assert (
        refusal(
            lambda: answer(engine, Turn(text="Hi", images=(str(tmp_path / "x.png"),)))
        ).error_class
        == "bad_image"
    )


def test_prompt_longer_than_the_context_is_refused(engine: TransformersEngine) -> None:
    assert refusal(lambda: answer(engine, Turn(text="word " * 9000))).error_class == "too_long"


def test_missing_device_is_refused(copy: Path) -> None:
    assert refusal(lambda: load(copy, device="cuda:63")).error_class == "unsupported_device"
