"""LLaVA 1.5 (llava) and 1.6 (llava_next): facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Exclusion, Family

FAMILY = Family(
    name="llava",
    title="LLaVA 1.5 and 1.6",
    model_types=("llava", "llava_next"),
    architectures=("LlavaForConditionalGeneration", "LlavaNextForConditionalGeneration"),
    engines=("mlx", "transformers"),
    example_ids=(
        "llava-hf/llava-1.5-7b-hf",
        "llava-hf/llava-v1.6-mistral-7b-hf",
        "mlx-community/llava-v1.6-mistral-7b-4bit",
    ),
    aliases=("llava-1.5", "llava-1.6", "llava_next"),
    official_use="AutoProcessor and LlavaForConditionalGeneration, or mlx-vlm's generate.",
    what_fails=(
        "mlx-vlm given a bare prompt and an image answers without looking. mlx-vlm 0.7.10 can't "
        "prepare images for LLaVA 1.5 under transformers 5: it hands its tokenizer's settings "
        "to the image processor, which refuses them. 7 billion parameters are too slow on a "
        "laptop without MLX: expect the timeout."
    ),
    how_loaded=(
        "transformers: AutoModelForImageTextToText. mlx: mlx-vlm's llava and llava_next, with the "
        "model's chat template; for LLaVA 1.5 its processor is called without those settings."
    ),
    prompt_format="USER: <image>\\nTEXT ASSISTANT: (1.5); [INST] <image>\\nTEXT [/INST] (1.6)",
    image_form="PIL images; 1.5 squeezes to 336 px, 1.6 adds tiles by the image's shape.",
    exclusions=(
        Exclusion(
            engine="mlx",
            package="mlx-vlm",
            below="0.1.27",
            images="square",
            reason=(
                "LLaVA failed on square synthetic images in early mlx-vlm, the guide says. "
                "0.1.0 refused prompts with more image tokens than images; 0.1.27 no longer does "
                "(both by their source), and 0.7.10 answers about square images (tested)."
            ),
        ),
    ),
    notes=(
        "mlx-vlm's llava_next takes one image a conversation, and joins tiles differently "
        "from transformers: the two engines' answers differ.",
    ),
)
HOOKS: Mapping[str, str] = {"mlx": "workers.families.hooks.llava_mlx:LlavaHooks"}
