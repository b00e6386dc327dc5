"""Phi-3.5-vision (phi3_v): facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="phi3_v",
    title="Phi-3.5-vision",
    model_types=("phi3_v",),
    architectures=("Phi3VForCausalLM",),
    auto_map=("Phi3VForCausalLM",),
    engines=("mlx", "transformers"),
    example_ids=(
        "lokinfey/Phi-3.5-vision-mlx-int4",
        "mlx-community/Phi-3.5-vision-instruct-4bit",
        "microsoft/Phi-3.5-vision-instruct",
    ),
    aliases=("phi-3.5-vision", "phi3.5-vision"),
    official_use="mlx-vlm's generate; or AutoModelForCausalLM with trust_remote_code.",
    what_fails=(
        "The template takes plain text with numbered slots, not a list of parts. mlx-vlm renders "
        "it outside of any sandbox and trusts remote code by default. The published "
        "transformers code was written for 4.43 and calls Cache methods that are gone."
    ),
    how_loaded=(
        "mlx: mlx-vlm's phi3_v, the template rendered by the tokenizer, in its sandbox. "
        "transformers: its own code (trust_remote_code, a pinned revision) with eager attention "
        "and a KV cache that still has the old methods; each run records which cache was used."
    ),
    prompt_format="<|user|>\\n<|image_1|>\\nTEXT<|end|>\\n<|assistant|>\\n",
    image_form="PIL images, cut into tiles of 336 px (at most `num_crops`) and an overview.",
    notes=("Image tokens are negative ids; they are what is counted.",),
)
HOOKS: Mapping[str, str] = {
    "mlx": "workers.families.hooks.phi3_v_mlx:Phi3VHooks",
    "transformers": "workers.families.hooks.phi3_v_remote:Phi3VRemoteHooks",
}
