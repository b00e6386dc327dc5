"""Moondream2 (and its older generation, moondream1's code): facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="moondream2",
    title="Moondream2",
    model_types=("moondream1", "moondream"),
    architectures=("HfMoondream", "Moondream"),
    auto_map=("HfMoondream", "Moondream"),
    engines=("transformers", "mlx"),
    example_ids=("vikhyatk/moondream2",),
    aliases=("moondream",),
    remote_code=True,
    official_use=(
        "AutoModelForCausalLM with trust_remote_code and a pinned revision; `encode_image`, then "
        "`query` (2025 revisions) or `answer_question` (before)."
    ),
    what_fails=(
        "The standard pipeline. On transformers 5 the code never calls post_init, and its "
        "attention mask and rotary table come back uninitialised: it loads and talks garbage. "
        "`query` with a bare image and settings raises KeyError 'variant'. Crops are always "
        "bfloat16, so other dtypes fail."
    ),
    how_loaded=(
        "AutoModelForCausalLM, with post_init called, the buffers recomputed and crops cast from "
        "outside; the image is encoded first, tokens are counted at the decoding step."
    ),
    prompt_format="The question alone; the model's own code frames it.",
    image_form="One PIL image to `encode_image`; 729 image tokens.",
    extra_repositories=("moondream/starmie-v1", "vikhyatk/moondream2"),
    notes=(
        "Needs `trust_remote_code: true` and a 40-digit `revision`.",
        "2025 revisions read their tokenizer from moondream/starmie-v1 (a few earlier ones from "
        "vikhyatk/moondream2 at 2024-08-26): fetch it too before going offline.",
        "One image, one question; text alone where the revision takes it.",
        "Revisions before 2025 also import einops.",
        "No top_k and no repetition_penalty in 2025 revisions.",
        "mlx-vlm 0.7.10 (2025 revisions only): one question about one image; it makes the mask "
        "by which the image's tokens see each other but does not use it, so answers differ.",
    ),
)
HOOKS: Mapping[str, str] = {
    "transformers": "workers.families.hooks.moondream2_hooks:MoondreamHooks",
    "mlx": "workers.families.hooks.moondream2_mlx:MoondreamHooks",
}
