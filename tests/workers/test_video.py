"""Videos: as such where a model takes them, as images where not, refused where neither goes.

Without torchvision no processor takes a video, so that the tests of those are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from schemas.commands import Load, Run, Stop, Turn, Video
from schemas.events import RunFinished
from schemas.generation import Generation
from workers.checkpoint import read_checkpoint
from workers.conversation import answer_all
from workers.error_classes import WorkerFailure, classify
from workers.families import find_family
from workers.protocol import parse_command
from workers.video import as_images

pytestmark = pytest.mark.model
GREEDY = Generation(max_new_tokens=20)
TORCHVISION = importlib.util.find_spec("torchvision") is not None
real = pytest.mark.skipif(not TORCHVISION, reason="torchvision cannot be had here")
pretended = pytest.mark.skipif(TORCHVISION, reason="torchvision is here, so videos go as such")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """Four frames, as the runner prepares them: a ball falls."""
    folder = tmp_path_factory.mktemp("frames")
    paths = []
    for i in range(4):
        frame = Image.new("RGB", (64, 48), (20, 30, 90))
        ImageDraw.Draw(frame).ellipse((24, 10 * i, 36, 10 * i + 12), fill=(250, 180, 30))
        frame.save(folder / f"{i}.png")
        paths.append(str(folder / f"{i}.png"))
    return Video(frames=tuple(paths), times_s=(0.25, 0.75, 1.25, 1.75), duration_s=2.0)


def load(folder: Path, **more: Any) -> Any:
    from workers.engines.transformers import TransformersEngine

    checkpoint = read_checkpoint(folder)
    engine = TransformersEngine()
    ask = Load(**{"model": str(folder), "local": True, "device": "cpu", **more})
    engine.load(checkpoint, find_family(checkpoint.config), ask, lambda event: None)
    return engine


def answer(engine: Any, *turns: Turn) -> RunFinished:
    run = Run(run=1, turns=turns, generation=GREEDY)
    return answer_all(run, engine, lambda event: None, lambda phase: None)


def same(one: RunFinished, other: RunFinished) -> bool:
    names = ("raw_text", "input_tokens", "image_tokens", "image_tiles", "output_tokens")
    return all(getattr(one, name) == getattr(other, name) for name in names)


# On the way


def test_frames_replace_the_video_in_place(clip: Video) -> None:
    first, second = replace(clip, frames=("a", "b")), replace(clip, frames=("c",), before=2)
    turn = Turn(text="t", images=("1", "2"), videos=(first, second))
    assert as_images([turn]) == [Turn(text="t", images=("a", "b", "1", "2", "c"))]
    amid = replace(turn, videos=(replace(first, before=1), replace(second, before=1)))
    assert as_images([amid])[0].images == ("1", "a", "b", "c", "2")


def test_template_slots_keep_the_order(clip: Video) -> None:
    from workers.engines.transformers.prompt import messages

    videos = (clip, replace(clip, before=1), replace(clip, before=1))
    [message] = messages([Turn(text="t", images=("1", "2"), videos=videos)])
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["video", "image", "video", "video", "image", "text"]


def test_video_is_sent_through_the_protocol(clip: Video) -> None:
    run = Run(run=1, turns=(Turn(text="t", images=("x",), videos=(clip,)),), generation=GREEDY)
    assert parse_command(json.dumps(asdict(run)).encode()) == run


# As images


@pretended
@pytest.mark.parametrize("family", ["smolvlm2", "smolvlm"])
def test_frames_as_images_equal_a_direct_call(
    family: str, tiny: Callable[[str], Path], clip: Video
) -> None:
    from transformers import (
        AutoImageProcessor,
        AutoModelForImageTextToText,
        AutoTokenizer,
        Idefics3Processor,
    )

    folder = tiny(family)
    engine = load(folder)
    found = answer(engine, Turn(text="What falls?", videos=(clip,)))
    processor = Idefics3Processor(
        AutoImageProcessor.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        image_seq_len=json.loads((folder / "processor_config.json").read_text())["image_seq_len"],
        chat_template=engine._hooks.processor.chat_template,
    )
    content = [*({"type": "image"} for _ in clip.frames), {"type": "text", "text": "What falls?"}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    frames = [Image.open(path) for path in clip.frames]
    inputs = processor(text=prompt, images=frames, return_tensors="pt")
    model = AutoModelForImageTextToText.from_pretrained(folder)
    size = inputs["input_ids"].shape[1]
    ids = model.generate(**inputs, max_new_tokens=20, do_sample=False)[0, size:]
    assert found.raw_text == processor.tokenizer.decode(ids)
    assert (found.input_tokens, found.output_tokens) == (size, len(ids))
    assert found.image_tokens == int((inputs["input_ids"] == model.config.image_token_id).sum())
    assert found.image_tokens > 0
    assert found.notes == ["video given as 4 images"]


@pretended
def test_video_with_images_and_in_a_conversation_is_answered(
    tiny: Callable[[str], Path], clip: Video, images: dict[str, str]
) -> None:
    engine = load(tiny("smolvlm2"), processor={"do_image_splitting": False})
    video = replace(clip, frames=clip.frames[:1], times_s=(1.0,), before=1)
    shown = (images["dot"], images["wide"])
    seen = Turn(text="Hi", images=shown, videos=(video,))
    flat = Turn(text="Hi", images=(shown[0], *video.frames, shown[1]))
    found, wanted = answer(engine, seen, Turn(text="And?")), answer(engine, flat, Turn(text="And?"))
    assert same(found, wanted)
    assert (found.notes, wanted.notes) == (["video given as 1 image"], [])


@pretended
@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl3", "gemma3", "llava_next"])
def test_other_families_get_frames_as_images(
    family: str, tiny: Callable[[str], Path], clip: Video
) -> None:
    engine = load(tiny(family))
    turn = Turn(text="Hi", videos=(replace(clip, frames=clip.frames[:2], times_s=(0.5, 1.5)),))
    found = answer(engine, turn)
    assert same(found, answer(engine, *as_images([turn])))
    notes = [note for note in found.notes if not note.startswith("generation_config.json")]
    assert notes == ["video given as 2 images"]


def test_single_image_model_refuses_a_video(
    tiny: Callable[[str], Path], clip: Video, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from huggingface_hub import constants
    from transformers import dynamic_module_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(tiny("moondream2").parent / "hub"))
        modules = str(tmp_path_factory.getbasetemp() / "remote-code")
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", modules)
        engine = load(tiny("moondream2"), trust_remote_code=True)
        with pytest.raises(WorkerFailure, match="takes no video, nor its frames") as caught:
            answer(engine, Turn(text="Hi", videos=(clip,)))
        assert classify(caught.value, "prefill").error_class == "unsupported"
        assert "one image at a time, not at 4" in str(caught.value)
        still = replace(clip, frames=clip.frames[:1], times_s=(1.0,))
        assert answer(engine, Turn(text="Hi", videos=(still,))).text


def test_mlx_gets_frames_and_refuses_for_single_image_models(
    tiny: Callable[[str], Path], clip: Video, talk: Callable[..., Any]
) -> None:
    seen = Turn(text="What falls?", videos=(clip,))
    turns = [seen, *as_images([seen])]
    runs = [Run(run=n, turns=(turn,), generation=GREEDY) for n, turn in enumerate(turns, 1)]
    where: dict[str, Any] = {"local": True, "engine": "mlx"}
    folder = tiny("smolvlm2_mlx")
    output = talk([Load(model=str(folder), **where), *runs, Stop()])
    video, flat = output.named("run_finished")
    assert video["raw_text"] == flat["raw_text"]
    assert video["image_tokens"] == flat["image_tokens"] > 0
    assert (video["notes"], flat["notes"]) == (["video given as 4 images"], [])
    folder = tiny("llava_next_mlx_4bit")
    [error] = talk([Load(model=str(folder), **where), runs[0], Stop()]).named("error")
    assert error["error_class"] == "unsupported"
    assert "takes one image, not 4" in error["message"]


# As such


@real
@pytest.mark.parametrize("family", ["smolvlm2", "qwen2_5_vl", "internvl3"])
def test_native_video_equals_a_direct_call(
    family: str, tiny: Callable[[str], Path], clip: Video
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.video_utils import VideoMetadata

    folder = tiny(family)
    engine = load(folder)
    turn = Turn(text="What falls?", videos=(clip,))
    assert engine.sees_videos([turn])
    found = answer(engine, turn)
    processor = AutoProcessor.from_pretrained(folder)
    content = [{"type": "video"}, {"type": "text", "text": "What falls?"}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    # The library's sampling at two frames per second of all frames, without the engine's changes.
    plain = VideoMetadata(total_num_frames=80, fps=40.0, duration=2.0)
    plain.frames_indices = [10, 30, 50, 70]
    inputs = processor(
        text=[prompt],
        videos=[[[Image.open(path) for path in clip.frames]]],
        video_metadata=[plain],
        do_sample_frames=False,
        return_tensors="pt",
    )
    model = AutoModelForImageTextToText.from_pretrained(folder)
    size = inputs["input_ids"].shape[1]
    ids = model.generate(**inputs, max_new_tokens=20, do_sample=False)[0, size:]
    assert found.raw_text == processor.tokenizer.decode(ids)
    assert found.input_tokens == size
    assert found.image_tokens
    assert found.notes == []
    two = answer(engine, Turn(text="What falls?", videos=(clip, clip)), Turn(text="And?"))
    assert two.image_tokens == 2 * found.image_tokens
    mixed = Turn(text="Hi", images=clip.frames[:1], videos=(replace(clip, before=1),))
    both = answer(engine, mixed)
    assert both.image_tokens > found.image_tokens
    assert both.notes == (["video given as 4 images"] if family == "smolvlm2" else [])


@real
def test_template_without_a_video_slot_gets_frames(
    tiny: Callable[[str], Path], clip: Video
) -> None:
    engine = load(tiny("qwen2_5_vl"))
    hooks = engine._hooks
    hooks.processor.chat_template = hooks.processor.chat_template.replace("<|video_pad|>", "")
    found = answer(engine, Turn(text="Hi", videos=(clip,)))
    assert found.notes == ["video given as 4 images"]


@real
def test_text_that_looks_like_a_video_token_is_refused(tiny: Callable[[str], Path]) -> None:
    engine = load(tiny("qwen2_5_vl"))
    with pytest.raises(WorkerFailure, match="video_pad"):
        answer(engine, Turn(text="Hi <|video_pad|>"))


class Part:
    """A video processor with only the attributes that are checked before its use."""

    def __call__(self) -> None: ...


class Whole:
    """A processor with one."""

    video_processor, video_token = Part(), "<video>"


def test_working_video_processor_is_recognised(tiny: Callable[[str], Path]) -> None:
    from workers.engines.transformers.video import fills_slot, metadata, takes_videos

    assert takes_videos(Whole())
    for name in ("video_processor", "video_token"):
        lame = Whole()
        setattr(lame, name, None)
        assert not takes_videos(lame)
    assert not takes_videos(load(tiny("smolvlm"))._hooks.processor)
    assert fills_slot(lambda turns: "a <video>" if turns[0].videos else "", "<video>")
    assert not fills_slot(lambda turns: "a", "<video>")
    assert not fills_slot(lambda turns: str(1 / 0), "<video>")
    video = Video(frames=("", ""), times_s=(0.5, 2.0), duration_s=2.0)
    assert metadata(video) == {
        "total_num_frames": 2000,
        "fps": 1000.0,
        "duration": 2.0,
        "frames_indices": [500, 1999],
    }


# The whole way


@pretended
def test_sweep_over_a_video_runs(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(0, 200, 10):
            frame = Image.new("RGB", (64, 48), (level, 90, 30))
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:500])
    sweep = {
        "models": [{"id": str(tiny("smolvlm2")), "name": "m", "device": "cpu"}],
        "images": ["a.mp4", "b.mp4"],
        "prompts": ["What changes?"],
        "video": {"frames": 3},
        "generation": {"max_new_tokens": 5},
    }
    (tmp_path / "s.json").write_text(json.dumps(sweep))
    command = [sys.executable, "-m", "runner", "run", "s.json", "--db", "h.db", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # b.mp4 is broken
    database = sqlite3.connect(tmp_path / "h.db")
    rows = database.execute(
        "SELECT image, runs.outcome, runs.error_class, runs.image_tokens > 0, runs.notes"
        " FROM results JOIN runs ON runs.id = run_id"
    ).fetchall()
    database.close()
    assert rows == [
        ("a.mp4", "ok", None, 1, '["video given as 3 images"]'),
        ("b.mp4", "error", "bad_image", None, None),
    ]
