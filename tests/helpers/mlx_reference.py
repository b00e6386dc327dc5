"""Reference answers of mlx-vlm, called directly; the tests run it in a separate process.

    python tests/helpers/mlx_reference.py < request.json > answers.json

The request is {"folders": {name: folder}, "images": [path, ...], "prompts": [...], "tokens": n}.
No project code is imported; prompts are written out here, not made by our engine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SLOTS = {
    "smolvlm": "<|im_start|>User:<image>{}<end_of_utterance>\nAssistant:",
    "idefics3": "<|im_start|>User:<image>{}<end_of_utterance>\nAssistant:",
    "llava": "USER: <image>\n{} ASSISTANT:",
    "llava_next": "[INST] <image>\n{} [/INST]",
    "moondream1": "{}",  # framed by the processor
    "phi3_v": "<|user|>\n<|image_1|>\n{}<|end|>\n<|assistant|>\n",
}


def load(folder: Path) -> tuple[Any, Any]:
    """Model and processor, in float32 as our engine computes on a CPU."""
    import mlx.core as mx
    from mlx_vlm import load as mlx_load

    config = json.loads((folder / "config.json").read_bytes())
    if config["model_type"] == "phi3_v":  # the library's own constant: CLIP ViT-L
        from mlx_vlm.models.phi3_v.vision import VisionModel

        clip = VisionModel.CLIP_VIT_LARGE_PATCH14_336_CONFIG
        clip.num_hidden_layers = config["img_processor"]["num_hidden_layers"]
        clip.intermediate_size = config["img_processor"]["intermediate_size"]
    if config["model_type"] == "moondream1":
        model, processor = load_moondream(folder)
    else:
        model, processor = mlx_load(str(folder))
    model.set_dtype(mx.float32)
    return model, processor


def load_moondream(folder: Path) -> tuple[Any, Any]:
    """mlx-vlm would look for the second repository's tokenizer with its code's help."""
    from huggingface_hub import try_to_load_from_cache
    from mlx_vlm.models.moondream2.processing_moondream2 import Moondream2Processor
    from mlx_vlm.utils import StoppingCriteria, load_model
    from transformers import PreTrainedTokenizerFast

    file = try_to_load_from_cache("moondream/starmie-v1", "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file)
    tokenizer.stopping_criteria = StoppingCriteria([0], tokenizer)
    return load_model(folder), Moondream2Processor(tokenizer)


def answer(model: Any, processor: Any, prompt: str, path: str, tokens: int) -> dict[str, Any]:
    """Returns the ids of a greedy answer and the input token counts."""
    from mlx_vlm.generate.ar import generate_step
    from mlx_vlm.utils import prepare_inputs
    from PIL import Image

    image = Image.open(path).convert("RGB")
    if model.config.model_type == "llava":  # mlx-vlm 0.7.10 can't prepare these itself
        inputs = dict(processor(images=[image], text=[prompt]))
    else:
        inputs = prepare_inputs(processor, images=[image], prompts=prompt, add_special_tokens=True)
    ids = inputs.pop("input_ids")
    pixels, mask = inputs.pop("pixel_values"), inputs.pop("attention_mask")
    out: list[int] = []
    steps = generate_step(ids, model, pixels, mask, max_tokens=tokens, temperature=0.0, **inputs)
    for token, _ in steps:
        out.append(int(token))
        if out[-1] in processor.tokenizer.stopping_criteria.eos_token_ids:
            break
    flat = ids.reshape(-1).tolist()
    slot = getattr(model.config, "image_token_index", None)
    image_tokens = sum(token == slot or token < 0 for token in flat)
    if model.config.model_type == "moondream1":
        image_tokens = flat[1:].count(0)
    return {
        "ids": out,
        "raw": processor.tokenizer.decode(out, skip_special_tokens=False),
        "input_tokens": len(flat),
        "image_tokens": image_tokens,
    }


def bare(model: Any, processor: Any, image: str) -> dict[str, Any]:
    """Result of the call in mlx-vlm's guide: a bare prompt, with and without the image."""
    from mlx_vlm import stream_generate

    def ask(**more: Any) -> Any:
        return list(stream_generate(model, processor, "Hi", max_tokens=8, temperature=0.0, **more))

    with_it, without = ask(image=[image])[-1], ask()[-1]
    return {"tokens": with_it.prompt_tokens, "equal": with_it.token_ids == without.token_ids}


def without_mask(model: Any, processor: Any, image: str, tokens: int) -> list[int]:
    """Moondream2's ids with a mask that lets nothing be seen: does mlx-vlm use its mask?"""
    import mlx.core as mx

    type(model)._create_prefix_attention_mask = lambda self, size, *_: mx.full(
        (1, 1, size, size), -1e9
    )
    found: list[int] = answer(model, processor, "Describe this image.", image, tokens)["ids"]
    return found


def main() -> None:
    """Answer the request."""
    request = json.load(sys.stdin)
    found: dict[str, Any] = {}
    for name, folder in request["folders"].items():
        model, processor = load(Path(folder))
        template = SLOTS[model.config.model_type]
        found[name] = {
            "answers": [
                answer(model, processor, template.format(prompt), image, request["tokens"])
                for image in request["images"]
                for prompt in request["prompts"]
            ]
        }
        if model.config.model_type == "moondream1":
            first = request["images"][0], request["tokens"]
            found[name]["without_mask"] = without_mask(model, processor, *first)
        if model.config.model_type == "llava_next":
            found[name]["bare"] = bare(model, processor, request["images"][0])
    found["torch"] = "torch" in sys.modules
    sys.__stdout__.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
