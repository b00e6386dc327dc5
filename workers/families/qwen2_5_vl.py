"""Qwen2.5-VL: facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="qwen2_5_vl",
    title="Qwen2.5-VL",
    model_types=("qwen2_5_vl",),
    architectures=("Qwen2_5_VLForConditionalGeneration",),
    engines=("transformers", "mlx"),
    example_ids=("Qwen/Qwen2.5-VL-3B-Instruct", "mlx-community/Qwen2.5-VL-3B-Instruct-4bit"),
    aliases=("qwen2.5-vl",),
    official_use="AutoProcessor and Qwen2_5_VLForConditionalGeneration with the chat template.",
    what_fails="AutoProcessor without torchvision, which its video processor insists on.",
    how_loaded=(
        "AutoModelForImageTextToText and AutoProcessor; without torchvision the processor is made "
        "without its video part and does images only. mlx: mlx-vlm's qwen2_5_vl."
    ),
    prompt_format="<|im_start|>user\\n<|vision_start|><|image_pad|><|vision_end|>TEXT<|im_end|>\\n"
    "<|im_start|>assistant\\n",
    image_form="PIL images at nearly their own size: a token for 28 by 28 px.",
    notes=(
        "Its own settings penalise repetitions (1.05), in greedy answers too.",
        "Set `processor: {min_pixels: ..., max_pixels: ...}` to bound the image tokens.",
    ),
)
HOOKS: Mapping[str, str] = {}  # the ordinary way will do
