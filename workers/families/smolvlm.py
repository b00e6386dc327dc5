"""SmolVLM and SmolVLM2 (which are Idefics3 and its descendant): facts, no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="smolvlm",
    title="SmolVLM and SmolVLM2",
    model_types=("smolvlm", "idefics3"),
    architectures=("SmolVLMForConditionalGeneration", "Idefics3ForConditionalGeneration"),
    engines=("transformers", "mlx"),
    example_ids=(
        "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
        "HuggingFaceTB/SmolVLM-500M-Instruct",
        "HuggingFaceTB/SmolVLM-256M-Instruct",
        "mlx-community/SmolVLM2-500M-Video-Instruct-mlx",
    ),
    aliases=("smolvlm2",),
    official_use="AutoProcessor and AutoModelForImageTextToText (formerly AutoModelForVision2Seq).",
    what_fails=(
        "AutoModelForVision2Seq is gone in transformers 5. SmolVLM2's processor wants num2words, "
        "and a video processor that can't be made without torchvision."
    ),
    how_loaded=(
        "AutoModelForImageTextToText; without torchvision the processor is built from its parts "
        "and does images only."
    ),
    prompt_format="<|im_start|>User:<image>TEXT<end_of_utterance>\\nAssistant:",
    image_form="PIL images, split into tiles unless `do_image_splitting: false`.",
    extra_packages=("num2words",),
    notes=(
        "Splitting makes one 1024 px photo many hundred tokens; set `processor: "
        "{do_image_splitting: false}` for speed.",
    ),
)
HOOKS: Mapping[str, str] = {"transformers": "workers.families.hooks.smolvlm_hooks:SmolVLMHooks"}
