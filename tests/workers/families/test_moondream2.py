"""Moondream2 with its remote code: the fakes have the published interface and defects."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load, Run, Turn
from schemas.events import RunFinished, Text
from schemas.generation import Generation
from workers.checkpoint import read_checkpoint
from workers.conversation import answer_all
from workers.error_classes import WorkerFailure, classify
from workers.families import find_family
from workers.fetch import fetch_extras, named_tokenizers

pytestmark = pytest.mark.model
LIMIT = 24
GREEDY = Generation(max_new_tokens=LIMIT)


@pytest.fixture(scope="module", autouse=True)
def _caches(
    tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The second repository where the hub's library looks, and copied code out of the way."""
    from huggingface_hub import constants
    from transformers import dynamic_module_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(tiny("moondream2").parent / "hub"))
        patch.setenv("HF_HUB_CACHE", str(tiny("moondream2").parent / "hub"))
        # One for the whole session: a package, once imported, stays where it was found.
        modules = str(tmp_path_factory.getbasetemp() / "remote-code")
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", modules)
        yield


def load(folder: Path, **more: Any) -> Any:
    from workers.engines.transformers import TransformersEngine

    checkpoint = read_checkpoint(folder)
    engine = TransformersEngine()
    options = {"model": str(folder), "local": True, "device": "cpu", "trust_remote_code": True}
    ask = Load(**{**options, **more})
    engine.load(checkpoint, find_family(checkpoint.config), ask, lambda event: None)
    return engine


def answer(
    engine: Any, *turns: Turn, generation: Generation = GREEDY, emit: Any = lambda event: None
) -> RunFinished:
    run = Run(run=1, turns=turns, generation=generation)
    return answer_all(run, engine, emit, lambda phase: None)


def refusal(act: Callable[[], object]) -> WorkerFailure:
    try:
        act()
    except Exception as error:
        return classify(error, "load")
    raise AssertionError("nothing failed")


@pytest.fixture(scope="module")
def engine(tiny: Callable[[str], Path]) -> Any:
    return load(tiny("moondream2"))


@pytest.fixture(scope="module")
def older(tiny: Callable[[str], Path]) -> Any:
    return load(tiny("moondream1"))


@pytest.fixture
def copy(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("moondream2"), tmp_path / "copy"))


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Callable[[str | None, str], list[int]]:
    """The stand-in built as Python builds it, on a real device: the ids it picks."""
    from PIL import Image
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    folder = tiny("moondream2")
    (file,) = (folder.parent / "hub").glob("*/snapshots/*/tokenizer.json")
    code = importlib.import_module("tiny.remote.moondream2.moondream")
    with pytest.MonkeyPatch.context() as patch:
        tokenizer = Tokenizer.from_file(str(file))
        patch.setattr(code, "Tokenizer", type("T", (), {"from_pretrained": lambda _: tokenizer}))
        model = code.MoondreamModel()
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({k.removeprefix("model."): v for k, v in weights.items()}, strict=False)
    model = model.float()
    crops = code.prepare_crops

    def ids(path: str | None, question: str) -> list[int]:
        picked: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(code, "prepare_crops", lambda *args: crops(*args).float())
            pick = type(model)._pick
            patch.setattr(
                type(model),
                "_pick",
                lambda self, *args: picked.append(int(token := pick(self, *args))) or token,
            )
            image = None if path is None else model.encode_image(Image.open(path))
            settings = {"max_tokens": LIMIT, "temperature": 0}
            model.query(image, question, reasoning=False, settings=settings)
        return picked[:LIMIT]

    ids.decode = tokenizer.decode  # type: ignore[attr-defined]
    return ids


def test_texts_and_counts_equal_a_direct_call(
    engine: Any, reference: Any, images: dict[str, str]
) -> None:
    texts = set()
    for path in (*images.values(), None):
        for prompt in ("What colour is it?", "How many squares?"):
            emitted: list[Any] = []
            shown = () if path is None else (path,)
            found = answer(engine, Turn(text=prompt, images=shown), emit=emitted.append)
            ids = reference(path, prompt)
            assert found.raw_text == reference.decode(ids)
            assert (found.output_tokens, found.finish_reason) == (len(ids), "length")
            assert found.image_tokens == (16 if path else 0)
            assert found.input_tokens > 16 or path is None
            assert "".join(e.text for e in emitted if isinstance(e, Text)) == found.raw_text
            assert found.ttft_s is not None
            assert found.preprocess_s < found.ttft_s < found.latency_s
            texts.add(found.raw_text)
    assert len(texts) == 2 * (len(images) + 1)  # it does look, and read


def test_end_token_is_counted(engine: Any, images: dict[str, str], monkeypatch: Any) -> None:
    import torch

    inner = engine._hooks.model.model
    picked = []

    def pick(logits: Any, temperature: float) -> Any:
        picked.append(temperature)
        return torch.tensor([[0 if len(picked) == 5 else 300]])

    monkeypatch.setattr(inner, "_pick", pick)
    found = answer(engine, Turn(text="Hi", images=(images["dot"],)))
    assert (found.output_tokens, found.finish_reason, picked[0]) == (5, "stop", 0)
    picked.clear()
    five = Generation(max_new_tokens=5)
    found = answer(engine, Turn(text="Hi", images=(images["dot"],)), generation=five)
    assert (found.output_tokens, found.finish_reason) == (5, "stop")
    picked.clear()
    four = Generation(max_new_tokens=4)
    found = answer(engine, Turn(text="Hi", images=(images["dot"],)), generation=four)
    assert (found.output_tokens, found.finish_reason) == (4, "length")


def test_reference_defects_are_reproduced(
    tiny: Callable[[str], Path], engine: Any, images: dict[str, str], monkeypatch: Any
) -> None:
    """Defects without the workaround: if this stops failing, the workaround can be removed."""
    from PIL import Image

    from workers.engines.transformers import remote_code
    from workers.families.hooks.moondream2_query import QueryInterface

    with monkeypatch.context() as patch, Image.open(images["dot"]) as image:
        with pytest.raises(KeyError, match="variant"):
            engine._hooks.model.query(image, "Hi", settings={"max_tokens": 3})
        patch.setattr(QueryInterface, "_cast_crops", lambda self: None)
        with pytest.raises(RuntimeError, match="dtype"):
            answer(load(tiny("moondream2")), Turn(text="Hi", images=(images["dot"],)))
    with monkeypatch.context() as patch:
        patch.setattr(remote_code, "ensure_post_init", lambda kind: None)
        folder = shutil.copytree(tiny("moondream2"), tiny("moondream2").parent / "fresh")
        with pytest.raises(AttributeError, match="all_tied_weights_keys"):
            load(folder)
    with monkeypatch.context() as patch:
        patch.setattr(remote_code, "cast_weights", lambda *args: None)
        asked = next(load(tiny("moondream2"))._hooks.model.parameters())
        assert str(asked.dtype) == "torch.bfloat16"
    with monkeypatch.context() as patch:
        patch.setattr(remote_code, "rebuild_buffers", lambda *args: 0)
        lost, kept = (each._hooks.model.model for each in (load(tiny("moondream2")), engine))
        assert not lost.attn_mask.equal(kept.attn_mask)
        assert not lost.text.freqs_cis.equal(kept.text.freqs_cis)


def test_older_generation_equals_uncached_passes(
    older: Any, images: dict[str, str], monkeypatch: Any
) -> None:
    """Its cached steps give what whole passes without a cache give, one token a step."""
    import torch
    from PIL import Image

    from workers.engines.transformers.legacy_cache import LegacyCache

    model, tokenizer = older._hooks.model, older._hooks.tokenizer
    lengths: list[int] = []
    for path in images.values():
        with torch.inference_mode(), Image.open(path) as image:
            prompt = "<image>\n\nQuestion: What is it?\n\nAnswer:"
            x = model.input_embeds(prompt, model.encode_image(image), tokenizer)
            size, ids = x.shape[1], []
            for _ in range(LIMIT):
                logits = model.text_model(inputs_embeds=x, past_key_values=LegacyCache()).logits
                ids.append(int(logits[0, -1].argmax()))
                token = model.get_input_embeddings()(torch.tensor([[ids[-1]]]))
                x = torch.cat([x, token], dim=1)
        with monkeypatch.context() as patch:
            patch.setattr(type(model.text_model), "forward", _spy(model.text_model, lengths))
            found = answer(older, Turn(text="What is it?", images=(path,)))
        assert found.raw_text == older._hooks.decode(ids)
        assert (found.input_tokens, found.image_tokens) == (size, 16)
        assert (found.output_tokens, found.finish_reason) == (LIMIT, "length")
        assert lengths == [size] + [1] * (LIMIT - 1)
        lengths.clear()


def _spy(model: Any, lengths: list[int]) -> Any:
    forward = type(model).forward

    def spy(self: Any, input_ids: Any = None, inputs_embeds: Any = None, **more: Any) -> Any:
        lengths.append((input_ids if inputs_embeds is None else inputs_embeds).shape[1])
        return forward(self, input_ids=input_ids, inputs_embeds=inputs_embeds, **more)

    return spy


def test_early_revision_answers_only_with_an_image(
    copy: Path, engine: Any, images: dict[str, str]
) -> None:
    """Early 2025: KV caches made in `__init__`, no text alone. And one that shows no steps."""
    turn = Turn(text="What is it?", images=(images["wide"],))
    wrapper, code = copy / "hf_moondream.py", copy / "moondream.py"
    wrapper.write_text(wrapper.read_text().replace("setup_caches=False", "setup_caches=True"))
    text = code.read_text().replace("image=None, question=None, reasoning=True", "image, question")
    code.write_text(text.replace("        if reasoning:\n", "        if False:\n"))
    early = load(copy)
    assert answer(early, turn).raw_text == answer(engine, turn).raw_text
    assert refusal(lambda: answer(early, Turn(text="Hi"))).error_class == "unsupported"

    code.write_text(code.read_text().replace("_decode_one_tok", "_one_more"))
    found, known = answer(load(copy), turn), answer(engine, turn)
    assert (found.raw_text, found.image_tokens) == (known.raw_text, 16)
    assert [note for note in found.notes if "counted from the text" in note]


def test_sampling_is_repeatable(engine: Any, images: dict[str, str]) -> None:
    turn = Turn(text="Hi", images=(images["wide"],))
    sampled = Generation(max_new_tokens=12, do_sample=True, temperature=3.0, top_k=4, seed=1)
    first, second = (answer(engine, turn, generation=sampled) for _ in range(2))
    assert first.raw_text == second.raw_text
    assert not answer(engine, turn).raw_text.startswith(first.raw_text)
    assert [note for note in first.notes if "top_k" in note]


def test_unsupported_requests_are_refused(engine: Any, older: Any, images: dict[str, str]) -> None:
    image = images["dot"]
    two = Turn(text="Hi", images=(image, image))
    talk = (Turn(text="Hi", images=(image,)), Turn(text="And?"))
    for act in (
        lambda: answer(engine, two),
        lambda: answer(engine, *talk),
        lambda: answer(older, Turn(text="Hi")),
    ):
        failure = refusal(act)
        assert failure.error_class == "unsupported"
        assert failure.hint
    long = Turn(text="word " * 600, images=(image,))
    assert refusal(lambda: answer(engine, long)).error_class == "too_long"
    assert answer(engine, Turn(text="Hi")).output_tokens == LIMIT  # it goes on afterwards


def test_remote_code_needs_permission(copy: Path) -> None:
    (copy / "hf_moondream.py").write_text("raise SystemExit('it ran')")
    failure = refusal(lambda: load(copy, trust_remote_code=False))
    assert failure.error_class == "remote_code_not_allowed"
    assert failure.hint
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {
        key: f"someone/else--{value}" for key, value in config["auto_map"].items()
    }
    (copy / "config.json").write_text(json.dumps(config))
    failure = refusal(lambda: load(copy))
    assert failure.error_class == "remote_code_not_allowed"
    assert "someone/else" in failure.message


def test_tokenizer_repository_is_loaded(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: Any
) -> None:
    from huggingface_hub import constants

    folder = tiny("moondream2")
    family = find_family(read_checkpoint(folder).config).FAMILY
    ask = Load(model=str(folder), local=True, trust_remote_code=True)
    assert named_tokenizers(folder) == [("moondream/starmie-v1", None)]
    fetch_extras(family, ask, folder, lambda event: None)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    fetch_extras(family, ask, tiny("moondream1"), lambda event: None)  # needs none
    for act in (
        lambda: fetch_extras(family, ask, folder, lambda event: None),
        lambda: load(folder),
    ):
        failure = refusal(act)
        assert failure.error_class == "not_in_cache"
        assert "moondream/starmie-v1" in failure.message
        assert "hf download moondream/starmie-v1" in str(failure.hint)


def test_tokenizer_revision_is_used(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        'Tokenizer.from_pretrained(\n    "vikhyatk/moondream2", revision="2024-08-26"\n)\n'
        'model = AutoModel.from_pretrained("no/model")\n'
    )
    assert named_tokenizers(tmp_path) == [("vikhyatk/moondream2", "2024-08-26")]


def test_missing_weights_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    weights.pop("model.vision.proj.weight")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert refusal(lambda: load(copy)).error_class == "missing_weights"
