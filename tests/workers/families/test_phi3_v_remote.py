"""Phi-3.5-vision with its remote code: the fake uses transformers 4.43, defects included."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load, Run, Turn
from schemas.events import RunFinished
from schemas.generation import Generation
from workers.checkpoint import read_checkpoint
from workers.conversation import answer_all
from workers.error_classes import WorkerFailure, classify
from workers.families import find_family

pytestmark = [
    pytest.mark.model,
    # The published code sets and calls these; it cannot be changed here.
    pytest.mark.filterwarnings("ignore:`rope_scaling` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The attention mask API under:FutureWarning"),
]
LIMIT = 24
GREEDY = Generation(max_new_tokens=LIMIT)


@pytest.fixture(scope="module", autouse=True)
def _modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Copied code goes out of the way."""
    from transformers import dynamic_module_utils

    with pytest.MonkeyPatch.context() as patch:
        # One for the whole session: a package, once imported, stays where it was found.
        modules = str(tmp_path_factory.getbasetemp() / "remote-code")
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", modules)
        yield


def load(folder: Path, **more: Any) -> Any:
    from workers.engines.transformers import TransformersEngine

    checkpoint = read_checkpoint(folder)
    family = find_family(checkpoint.config)
    assert family.FAMILY.name == "phi3_v"
    engine = TransformersEngine()
    options = {"model": str(folder), "local": True, "device": "cpu", "trust_remote_code": True}
    ask = Load(**{**options, **more})
    engine.loaded = engine.load(checkpoint, family, ask, lambda event: None)
    return engine


def answer(engine: Any, *turns: Turn, generation: Generation = GREEDY) -> RunFinished:
    run = Run(run=1, turns=turns, generation=generation)
    return answer_all(run, engine, lambda event: None, lambda phase: None)


def refusal(act: Callable[[], object]) -> WorkerFailure:
    try:
        act()
    except Exception as error:
        return classify(error, "load")
    raise AssertionError("nothing failed")


@pytest.fixture(scope="module")
def engine(tiny: Callable[[str], Path]) -> Any:
    return load(tiny("phi3_v_remote"))


def whole_passes(engine: Any, turns: list[Turn]) -> tuple[list[int], int]:
    """The answer's ids without any cache: every step sees the whole text. And its size."""
    import torch

    hooks = engine._hooks
    tensors = dict(hooks.prepare(turns).tensors)
    ids = tensors.pop("input_ids")
    tensors.pop("attention_mask")
    size = ids.shape[1]
    with torch.inference_mode():
        for _ in range(LIMIT):
            logits = hooks.model(input_ids=ids, use_cache=False, **tensors).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
    return ids[0, size:].tolist(), size


def test_texts_and_counts_equal_uncached_passes(
    engine: Any, images: dict[str, str], monkeypatch: Any
) -> None:
    """With its cache: after the prompt one token goes in at a time, and the text is the same."""
    model = engine._hooks.model
    lengths: list[int] = []
    forward = type(model).forward

    def spy(self: Any, input_ids: Any = None, **more: Any) -> Any:
        lengths.append(input_ids.shape[1])
        return forward(self, input_ids=input_ids, **more)

    spy.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    texts = set()
    for path in images.values():
        for prompt in ("What colour is it?", "How many squares?"):
            turn = Turn(text=prompt, images=(path,))
            ids, size = whole_passes(engine, [turn])
            with monkeypatch.context() as patch:
                patch.setattr(type(model), "forward", spy)
                found = answer(engine, turn)
            assert found.raw_text == engine._hooks.decode(ids)
            assert lengths == [size] + [1] * (LIMIT - 1)
            assert found.image_tokens in (12, 16)
            assert found.image_tiles == found.image_tokens / 4
            assert (found.input_tokens, found.output_tokens) == (size, LIMIT)
            texts.add(found.raw_text)
            lengths.clear()
    assert len(texts) == 2 * len(images)


def test_text_longer_than_the_short_factors_is_handled(engine: Any) -> None:
    """The code throws its cache away at the original length: once, and goes on rightly."""
    turn = Turn(text="How many squares are there? " * 8)
    ids, size = whole_passes(engine, [turn])
    assert size < 64 < size + LIMIT, size
    found = answer(engine, turn)
    assert found.output_tokens == LIMIT
    assert found.raw_text == engine._hooks.decode(ids)


def test_several_images_and_turns_are_answered(engine: Any, images: dict[str, str]) -> None:
    square, wide = images["square"], images["wide"]
    first = Turn(text="Hi", images=(square, wide))
    second = Turn(text="And?", images=(wide,))
    assert engine._hooks.render([first, Turn(role="assistant", text="Yes"), second]) == (
        "<|user|>\n<|image_1|>\n<|image_2|>\nHi<|end|>\n<|assistant|>\nYes<|end|>\n"
        "<|user|>\n<|image_3|>\nAnd?<|end|>\n<|assistant|>\n"
    )
    found = answer(engine, first, second)
    one, other = (answer(engine, Turn(text="Hi", images=(path,))) for path in (square, wide))
    assert found.image_tokens == one.image_tokens + 2 * other.image_tokens
    assert answer(engine, Turn(text="Hi")).image_tokens == 0


def test_run_records_the_method(engine: Any, images: dict[str, str]) -> None:
    found = answer(engine, Turn(text="Hi", images=(images["dot"],)))
    (note,) = found.notes
    assert note in engine.loaded.notes
    assert "with shims (" in note
    assert "seen_tokens" in note
    assert engine.loaded.attention == "eager"


def test_reference_defects_are_reproduced(
    tiny: Callable[[str], Path], engine: Any, images: dict[str, str], monkeypatch: Any
) -> None:
    """Defects without the workaround: if this stops failing, the workaround can be removed."""
    import torch
    from transformers import DynamicCache

    from workers.engines.transformers import legacy_cache, remote_code
    from workers.families.hooks.phi3_v_remote import Phi3VRemoteHooks

    folder = tiny("phi3_v_remote")
    turn = Turn(text="Hi", images=(images["wide"],))
    right = answer(engine, turn).raw_text
    for word in ("seen_tokens", "get_usable_length"):
        assert not hasattr(DynamicCache, word)
        with monkeypatch.context() as patch:
            patch.delattr(legacy_cache.LegacyCache, word)
            assert refusal(lambda: answer(engine, turn)).message.endswith(f"'{word}'")
    with monkeypatch.context() as patch:  # -1 for "no limit", which the code takes for a length
        patch.setattr(legacy_cache.LegacyCache, "get_max_length", lambda self: -1)
        assert "size of tensor" in refusal(lambda: answer(engine, turn)).message
    with monkeypatch.context() as patch:
        patch.delattr(DynamicCache, "from_legacy_cache")
        grows = Turn(text="How many squares are there? " * 8)
        assert "from_legacy_cache" in refusal(lambda: answer(engine, grows)).message
    with monkeypatch.context() as patch:
        patch.setattr(legacy_cache, "_trim", lambda inputs: None)
        assert "Sizes of tensors" in refusal(lambda: answer(engine, turn)).message
    with monkeypatch.context() as patch:
        patch.setattr(Phi3VRemoteHooks, "model_options", lambda self: {})
        assert "flash" in refusal(lambda: load(folder)).message.lower()
    with monkeypatch.context() as patch:
        patch.setattr(remote_code, "rebuild_buffers", lambda *args: 0)
        lost = load(folder)._hooks.model.model.vision_embed_tokens.places
        kept = engine._hooks.model.model.vision_embed_tokens.places
        assert not lost.equal(kept)
        assert kept.equal(torch.arange(4.0).sin()[:, None])
    assert answer(engine, turn).raw_text == right


def test_unsupported_requests_are_refused(
    engine: Any, tiny: Callable[[str], Path], tmp_path: Path, images: dict[str, str]
) -> None:
    image = images["dot"]
    slot = Turn(text="What is <|image_1|>?", images=(image,))
    penalty = Generation(max_new_tokens=4, repetition_penalty=1.3)
    for act in (
        lambda: answer(engine, slot),
        lambda: answer(engine, Turn(text="Hi", images=(image,)), generation=penalty),
    ):
        assert refusal(act).error_class == "unsupported"
    assert answer(engine, Turn(text="Hi"), generation=penalty).output_tokens == 4
    long = Turn(text="word " * 1100)
    assert refusal(lambda: answer(engine, long)).error_class == "too_long"
    folder = Path(shutil.copytree(tiny("phi3_v_remote"), tmp_path / "copy"))
    for path in folder.glob("*.py"):
        path.write_text("raise SystemExit('it ran')")
    failure = refusal(lambda: load(folder, trust_remote_code=False))
    assert failure.error_class == "remote_code_not_allowed"
