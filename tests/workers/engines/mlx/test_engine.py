"""The mlx engine in real worker processes, held to direct calls of mlx-vlm.

One process asks the library itself about all checkpoints; each checkpoint then gets one worker
for all of its runs, and the tests check its events.
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
from PIL import Image, ImageOps

from schemas.commands import Load, Run, Stop, Turn
from schemas.generation import Generation
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.model

REFERENCE = ROOT / "tests/helpers/mlx_reference.py"
FAMILIES = (
    "smolvlm2",
    "smolvlm",
    "llava",
    "llava_next",
    "smolvlm2_mlx",
    "smolvlm2_mlx_4bit",
    "llava_next_mlx_4bit",
    "phi3_v_mlx_4bit",
)
MOONDREAM = "moondream2_mlx"
PROMPT = "Describe this image."
TOKENS = 24
GREEDY = Generation(max_new_tokens=TOKENS)
SAMPLED = Generation(max_new_tokens=TOKENS, do_sample=True, temperature=1.5, top_p=0.95, seed=3)
HIDE_TORCH = """
import importlib.util, sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'torchvision'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide())
find = importlib.util.find_spec
def hidden(name, *more):
    return None if name.partition('.')[0] in ('torch', 'torchvision') else find(name, *more)
importlib.util.find_spec = hidden
"""


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Square, 4:3, tall, one pixel, RGBA and EXIF-rotated, converted to upright RGB like prepared
    images.
    """
    out = tmp_path_factory.mktemp("six")
    square = Image.linear_gradient("L").resize((96, 96)).convert("RGB")
    wide = Image.radial_gradient("L").resize((96, 72)).convert("RGB")
    tall = Image.linear_gradient("L").resize((30, 110)).convert("RGB").rotate(180)
    dot = Image.new("RGB", (1, 1), (10, 200, 30))
    clear = Image.new("RGBA", (80, 60), (200, 30, 10, 90))
    flat = Image.new("RGBA", clear.size, "white")
    turned = Image.linear_gradient("L").resize((64, 40)).convert("RGB")
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned a quarter
    turned.save(out / "camera.jpg", exif=exif)
    prepared = {
        "square": square,
        "wide": wide,
        "tall": tall,
        "dot": dot,
        "clear": Image.alpha_composite(flat, clear).convert("RGB"),
        "turned": ImageOps.exif_transpose(Image.open(out / "camera.jpg")),
    }
    for name, image in prepared.items():
        image.save(out / f"{name}.png")
    return {name: str(out / f"{name}.png") for name in prepared}


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path], six: dict[str, str]) -> dict[str, Any]:
    """Reference answers of mlx-vlm for every checkpoint and image."""
    request = {
        "folders": {name: str(tiny(name)) for name in (*FAMILIES, MOONDREAM)},
        "images": list(six.values()),
        "prompts": [PROMPT],
        "tokens": TOKENS,
    }
    done = subprocess.run(
        [sys.executable, str(REFERENCE)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **second_repository(tiny)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def second_repository(tiny: Callable[[str], Path]) -> dict[str, str]:
    """A separate cache with Moondream2's tokenizer."""
    return {"HF_HUB_CACHE": str(tiny(MOONDREAM).parent / "hub")}


def numbered(*asked: tuple[tuple[Turn, ...], Generation]) -> list[Run]:
    return [
        Run(run=number, turns=turns, generation=generation)
        for number, (turns, generation) in enumerate(asked, start=1)
    ]


def ask_mlx(folder: Path, **more: Any) -> Load:
    return Load(model=str(folder), local=True, engine="mlx", **more)


def outcomes(output: Any) -> dict[int, dict[str, Any]]:
    """Result of each run, by its number."""
    ends = [*output.named("run_finished"), *output.named("error")]
    return {event["run"]: event for event in ends}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_checkpoint_equals_the_reference(
    name: str,
    tiny: Callable[[str], Path],
    six: dict[str, str],
    reference: dict[str, Any],
    talk: Callable[..., Any],
) -> None:
    square, wide = six["square"], six["wide"]
    looks = [((Turn(text=PROMPT, images=(path,)),), GREEDY) for path in six.values()]
    first, hello = Turn(text=PROMPT, images=(six["dot"],)), (Turn(text="Hi"),)
    more = [
        (hello, GREEDY),
        ((Turn(text="Hi", images=(square, wide)),), GREEDY),
        ((first, Turn(text="And?")), GREEDY),
        (hello, SAMPLED),
        (hello, SAMPLED),
        (hello, GREEDY),
        (hello, Generation(max_new_tokens=TOKENS, repetition_penalty=1.8)),
        ((Turn(text="Hi", images=(__file__,)),), GREEDY),
        ((Turn(text="x <image> <|image_1|>", images=(square,)),), GREEDY),
    ]
    output = talk([ask_mlx(tiny(name)), *numbered(*looks, *more), Stop()], before=HIDE_TORCH)
    assert output.code == 0, output.log
    found = outcomes(output)
    check_loaded(name, output.named("loaded")[0])
    check_looks(output, found, reference[name]["answers"])
    check_others(name, found)


def check_loaded(name: str, loaded: dict[str, Any]) -> None:
    assert loaded["engine"] == "mlx"
    assert loaded["family"] == name.split("_")[0].rstrip("2").replace("phi3", "phi3_v")
    assert {"mlx", "mlx-vlm", "transformers"} <= set(loaded["versions"])
    assert (loaded["device"], loaded["dtype"]) == ("cpu", "float32")
    assert loaded["device_name"]
    assert loaded["device_bytes"] > 0
    assert loaded["load_s"] >= loaded["import_s"] + loaded["weights_s"] + loaded["processor_s"]
    quantised = [note for note in loaded["notes"] if "4 bits" in note]
    assert bool(quantised) == name.endswith("4bit")
    counts = {"smol": 252_016, "llav": 273_520}  # as transformers counts them, unquantised
    if name[:4] in counts:
        assert loaded["parameters"] in (counts[name[:4]], 252_112)


def check_looks(output: Any, found: dict[int, dict[str, Any]], expected: list[Any]) -> None:
    """Greedy ids, texts and counts are the library's own."""
    for number, answer in enumerate(expected, start=1):
        event = found[number]
        assert event["event"] == "run_finished", event
        assert event["raw_text"] == answer["raw"]
        assert event["output_tokens"] == len(answer["ids"]) >= 20
        assert event["input_tokens"] == answer["input_tokens"]
        assert event["image_tokens"] == answer["image_tokens"] > 0
        assert event["image_tiles"] >= 1
        assert 0 < event["preprocess_s"] < event["ttft_s"] < event["latency_s"]
        assert event["prompt_tps"] > 0
        assert event["generation_tps"] > 0
        assert event["peak_device_bytes"] > 0
        assert "get_peak_memory" in event["peak_device_method"]
        pieces = [e["text"] for e in output.named("text") if e["run"] == number]
        assert "".join(pieces) == answer["raw"]
    assert len({answer["raw"] for answer in expected}) == len(expected)  # it does look


def check_others(name: str, found: dict[int, dict[str, Any]]) -> None:
    text, two, talk, one_draw, same_draw, again, penalised, broken, slot = (
        found[number] for number in range(7, 16)
    )
    assert (text["image_tokens"], text["image_tiles"]) == (0, None)
    assert text["output_tokens"] == TOKENS
    if name.startswith("llava_next"):
        assert (two["event"], two["error_class"]) == ("error", "unsupported")
        assert two["hint"]
    else:
        assert two["image_tokens"] == sum(found[n]["image_tokens"] for n in (1, 2))
    assert [turn["role"] for turn in talk["transcript"]] == ["user", "assistant"] * 2
    assert talk["transcript"][1]["text"] == found[4]["text"]
    assert talk["image_tokens"] == found[4]["image_tokens"]
    assert talk["input_tokens"] > found[4]["input_tokens"]
    assert one_draw["raw_text"] == same_draw["raw_text"] != text["raw_text"]
    assert again["raw_text"] == text["raw_text"] != penalised["raw_text"]
    assert (broken["event"], broken["error_class"]) == ("error", "bad_image")
    assert (slot["event"], slot["error_class"]) == ("error", "unsupported")


def test_moondream2_equals_the_reference(
    tiny: Callable[[str], Path],
    six: dict[str, str],
    reference: dict[str, Any],
    talk: Callable[..., Any],
) -> None:
    looks = [((Turn(text=PROMPT, images=(path,)),), GREEDY) for path in six.values()]
    text = ((Turn(text=PROMPT),), GREEDY)
    commands = [ask_mlx(tiny(MOONDREAM)), *numbered(*looks, text), Stop()]
    output = talk(commands, before=HIDE_TORCH, env=second_repository(tiny))
    assert output.code == 0, output.log
    found = outcomes(output)
    check_looks(output, found, reference[MOONDREAM]["answers"])
    assert {found[number]["image_tokens"] for number in range(1, 7)} == {729}
    assert found[7]["error_class"] == "unsupported"
    # As the load's note states: mlx-vlm's mask has no effect.
    assert any("mask" in note for note in output.named("loaded")[0]["notes"])
    assert reference[MOONDREAM]["without_mask"] == reference[MOONDREAM]["answers"][0]["ids"]


def test_moondream2_without_tokenizer_is_refused(
    tiny: Callable[[str], Path], talk: Callable[..., Any], tmp_path: Path
) -> None:
    output = talk([ask_mlx(tiny(MOONDREAM)), Stop()], env={"HF_HUB_CACHE": str(tmp_path)})
    (error,) = output.named("error")
    assert error["error_class"] == "not_in_cache"
    assert "starmie" in error["hint"]


def test_documented_call_ignores_the_image(reference: dict[str, Any]) -> None:
    """The trap itself, in the library: a bare prompt's answer is that of no image at all."""
    bare = reference["llava_next"]["bare"]
    assert bare["equal"]
    assert bare["tokens"] < 10


def test_end_token_stops_and_is_counted(
    tiny: Callable[[str], Path],
    six: dict[str, str],
    reference: dict[str, Any],
    talk: Callable[..., Any],
    tmp_path: Path,
) -> None:
    ids = reference["smolvlm"]["answers"][0]["ids"]
    place = next(n for n in range(3, TOKENS) if ids[n] not in ids[:n])
    folder = Path(shutil.copytree(tiny("smolvlm"), tmp_path / "ends"))
    config = json.loads((folder / "generation_config.json").read_bytes())
    config["eos_token_id"] = [config["eos_token_id"], ids[place]]
    (folder / "generation_config.json").write_text(json.dumps(config))
    look = ((Turn(text=PROMPT, images=(six["square"],)),), GREEDY)
    short = ((Turn(text=PROMPT, images=(six["square"],)),), Generation(max_new_tokens=1))
    exact = (look[0], Generation(max_new_tokens=place + 1))
    output = talk([ask_mlx(folder), *numbered(look, short, exact), Stop()])
    ended, one, full = (outcomes(output)[number] for number in (1, 2, 3))
    assert (ended["finish_reason"], ended["output_tokens"]) == ("stop", place + 1)
    assert reference["smolvlm"]["answers"][0]["raw"].startswith(ended["raw_text"])
    assert (one["finish_reason"], one["output_tokens"]) == ("length", 1)
    assert (full["finish_reason"], full["output_tokens"]) == ("stop", place + 1)
