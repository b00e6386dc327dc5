"""InternVL3 and 3.5 in transformers' own form: facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="internvl",
    title="InternVL3 and 3.5 (-hf)",
    model_types=("internvl",),
    architectures=("InternVLForConditionalGeneration",),
    engines=("transformers", "mlx"),
    example_ids=("OpenGVLab/InternVL3-1B-hf", "OpenGVLab/InternVL3_5-1B-HF"),
    aliases=("internvl3",),
    official_use="AutoProcessor and AutoModelForImageTextToText with the chat template.",
    what_fails=(
        "AutoProcessor without torchvision, which its video processor insists on. mlx-vlm 0.7.10 "
        "builds every internvl on qwen3, as 3.5 is: InternVL3, which is on qwen2, does not load "
        "there. Repositories without -hf bring remote code and are not of this family."
    ),
    how_loaded=(
        "AutoModelForImageTextToText and AutoProcessor; without torchvision the processor is made "
        "without its video part and does images only."
    ),
    prompt_format="<|im_start|>user\\n<IMG_CONTEXT>\\nTEXT<|im_end|>\\n<|im_start|>assistant\\n",
    image_form="PIL images, cut into up to 12 tiles of 448 px and an overview, 256 tokens each.",
    notes=("Image tokens are counted without the <img> and </img> around them.",),
)
HOOKS: Mapping[str, str] = {}  # the ordinary way will do
