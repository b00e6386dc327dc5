"""Reference answers of the libraries for the extra families; runs in a separate process.

    python tests/helpers/family_reference.py ENGINE < request.json > answers.json

The request is {"folders": {name: folder}, "images": [path, ...], "tokens": n}. No project code
is imported. Prompts are written out here, slots expanded by hand: AutoProcessor can't be had for
models with videos where torchvision is missing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TEXT = "Describe this image."
# The prompt, and how one image's slot looks with its n tokens.
FORMS: dict[str, tuple[str, str, str, str]] = {
    "idefics3": ("<|im_start|>User:{}" + TEXT + "<end_of_utterance>\nAssistant:", "", "", ""),
    "qwen2_5_vl": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|>{}<|vision_end|>" + TEXT + "<|im_end|>\n<|im_start|>assistant\n",
        "",
        "<|image_pad|>",
        "",
    ),
    "gemma3": (
        "<bos><start_of_turn>user\n{}" + TEXT + "<end_of_turn>\n<start_of_turn>model\n",
        "\n\n<start_of_image>",
        "<image_soft_token>",
        "<end_of_image>\n\n",
    ),
    "internvl": (
        "<|im_start|>user\n{}\n" + TEXT + "<|im_end|>\n<|im_start|>assistant\n",
        "<img>",
        "<IMG_CONTEXT>",
        "</img>",
    ),
    "paligemma": ("{}<bos>" + TEXT + "\n", "", "<image>", ""),
}
SLOTS = {"idefics3": "<image>", "gemma3": "<start_of_image>", "qwen2_5_vl": "<|image_pad|>"}


def expand(kind: str, count: int) -> str:
    prompt, before, token, after = FORMS[kind]
    return prompt.format(before + token * count + after)


def by_parts(folder: Path, config: dict[str, Any], image: Any) -> tuple[Any, Any]:
    """Tokenizer and inputs, each part called alone and the slot expanded by hand."""
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer

    kind = config["model_type"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if kind == "idefics3":
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(folder)
        prompt = FORMS[kind][0].format(SLOTS[kind])
        return tokenizer, processor(text=prompt, images=[image], return_tensors="pt")
    options = {"crop_to_patches": True} if kind == "internvl" else {}
    eyes = AutoImageProcessor.from_pretrained(folder)
    seen = dict(eyes(images=[image], return_tensors="pt", **options))
    if kind == "qwen2_5_vl":
        count = int(seen["image_grid_thw"].prod()) // eyes.merge_size**2
    elif kind == "internvl":
        count = int(seen.pop("num_patches")[0]) * config["image_seq_length"]
    else:
        seen = {"pixel_values": seen["pixel_values"]}
        count = eyes.image_seq_length
    inputs = tokenizer(expand(kind, count), return_tensors="pt", add_special_tokens=False)
    ids = inputs["input_ids"]
    found = {"input_ids": ids, "attention_mask": inputs["attention_mask"], **seen}
    if kind == "gemma3":
        found["token_type_ids"] = (ids == config["image_token_index"]).long()
    elif kind == "paligemma":
        found["token_type_ids"] = torch.zeros_like(ids)
    elif kind == "qwen2_5_vl":
        found["mm_token_type_ids"] = (ids == config["image_token_id"]).long()
    return tokenizer, found


def ask_transformers(folder: Path, images: list[str], tokens: int) -> list[Any]:
    """Greedy ids by `generate`, in float32."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText

    config = json.loads((folder / "config.json").read_bytes())
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    found = []
    for path in images:
        tokenizer, inputs = by_parts(folder, config, Image.open(path).convert("RGB"))
        ids = inputs["input_ids"]
        out = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, top_k=None)
        found.append(answer(tokenizer, config, ids[0].tolist(), out[0, ids.shape[1] :].tolist()))
    return found


def ask_mlx(folder: Path, images: list[str], tokens: int) -> list[Any]:
    """Greedy ids by mlx-vlm's own steps, in float32."""
    import mlx.core as mx
    from mlx_vlm import load
    from mlx_vlm.generate.ar import generate_step
    from mlx_vlm.utils import prepare_inputs
    from PIL import Image

    config = json.loads((folder / "config.json").read_bytes())
    kind = config["model_type"]
    model, processor = load(str(folder))
    model.set_dtype(mx.float32)
    prompt = "<image>" + TEXT if kind == "paligemma" else FORMS[kind][0].format(SLOTS[kind])
    prompt = prompt.removeprefix("<bos>")  # which the processor puts there
    found = []
    for path in images:
        image = Image.open(path).convert("RGB")
        inputs = prepare_inputs(
            processor, images=[image], prompts=prompt, add_special_tokens=kind == "paligemma"
        )
        ids = inputs.pop("input_ids")
        pixels, mask = inputs.pop("pixel_values"), inputs.pop("attention_mask")
        steps = generate_step(
            ids, model, pixels, mask, max_tokens=tokens, temperature=0.0, **inputs
        )
        out = [int(token) for token, _ in steps]
        found.append(answer(processor.tokenizer, config, ids.reshape(-1).tolist(), out))
    return found


def answer(tokenizer: Any, config: dict[str, Any], prompt: list[int], out: list[int]) -> Any:
    slot = config.get("image_token_id", config.get("image_token_index"))
    return {
        "raw": tokenizer.decode(out, skip_special_tokens=False),
        "output_tokens": len(out),
        "input_tokens": len(prompt),
        "image_tokens": prompt.count(slot),
    }


def main() -> None:
    """Answer the request."""
    ask = {"transformers": ask_transformers, "mlx": ask_mlx}[sys.argv[1]]
    request = json.load(sys.stdin)
    found = {
        name: ask(Path(folder), request["images"], request["tokens"])
        for name, folder in request["folders"].items()
    }
    assert sys.__stdout__
    sys.__stdout__.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
