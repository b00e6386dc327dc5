"""PaliGemma and PaliGemma 2: facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="paligemma",
    title="PaliGemma and PaliGemma 2",
    model_types=("paligemma",),
    architectures=("PaliGemmaForConditionalGeneration",),
    engines=("transformers", "mlx"),
    example_ids=("google/paligemma-3b-mix-224", "google/paligemma2-3b-mix-224"),
    aliases=("paligemma2",),
    official_use="PaliGemmaProcessor(text=prefix, images=image) and generate.",
    what_fails=(
        "There is no chat template, so the ordinary way refuses it; the processor refuses to "
        "work without an image."
    ),
    how_loaded=(
        "AutoModelForImageTextToText; the prompt is a text prefix behind its image slots, as its "
        "processor documents, where no chat template was added. mlx: by mlx-vlm's own message form."
    ),
    prompt_format="<image> (once an image), <bos>, TEXT, a line's end",
    image_form="PIL images, squeezed to a square of 224, 448 or 896 px; 256 tokens at 224 px.",
    notes=(
        'It was trained on task words ("caption en", "answer en QUESTION"), not on '
        "conversations: one turn only, and in transformers never without an image.",
    ),
)
HOOKS: Mapping[str, str] = {
    "transformers": "workers.families.hooks.paligemma_prompt:PaliGemmaHooks"
}
