"""Gemma 3: facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="gemma3",
    title="Gemma 3",
    model_types=("gemma3",),
    architectures=("Gemma3ForConditionalGeneration",),
    engines=("transformers", "mlx"),
    example_ids=("google/gemma-3-4b-it", "mlx-community/gemma-3-4b-it-4bit"),
    aliases=("gemma-3",),
    official_use="AutoProcessor and Gemma3ForConditionalGeneration with the chat template.",
    what_fails=(
        "Its processor's image_token_id is that of the slot, of which each image has one: image "
        "tokens counted by it are too few. mlx-vlm 0.7.10 lets an image's tokens see only those "
        "before them, where the model was trained to let them see each other: its answers to "
        "images differ from those of transformers."
    ),
    how_loaded="AutoModelForImageTextToText and AutoProcessor; mlx: mlx-vlm's gemma3.",
    prompt_format="<bos><start_of_turn>user\\n<start_of_image>TEXT<end_of_turn>\\n"
    "<start_of_turn>model\\n",
    image_form="PIL images, squeezed to 896 px; 256 tokens each, more with do_pan_and_scan.",
    notes=("The hub asks for its terms to be accepted (gated).",),
)
HOOKS: Mapping[str, str] = {}  # the ordinary way will do
