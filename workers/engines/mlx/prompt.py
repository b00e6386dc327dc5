"""From turns to a prompt with image slots, as the model's own chat template writes it.

mlx-vlm's ways round a template are not taken: it answers a bare prompt without looking at the
image, drops the images of model types it has no message form for, and makes a plain prompt
where a template is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mlx.core as mx
from mlx_vlm.prompt_utils import MODEL_CONFIG, SINGLE_IMAGE_ONLY_MODELS, apply_chat_template

from schemas.commands import Turn

from ...error_classes import WorkerFailure
from ..transformers.prompt import messages, render, template_errors

# mlx-vlm's forms for models that were trained without any template.
BARE = ("prompt_only", "prompt_with_image_token", "prompt_with_start_image_token")


def adopt_template(processor: Any, tokenizer: Any) -> None:
    """Let the tokenizer render the processor's template.

    Some of mlx-vlm's processors (phi3_v's) render it by plain jinja2, so that a checkpoint's
    template could run code; the tokenizer renders in transformers' sandbox.
    """
    template = getattr(processor, "chat_template", None)
    if template and processor is not tokenizer:
        tokenizer.chat_template = template


def form_of(model_type: str) -> str | None:
    """mlx-vlm's name for how this model wants its messages."""
    form = MODEL_CONFIG.get(model_type)
    return None if form is None else str(form.value)


def takes_bare_prompt(model_type: str) -> bool:
    """Whether the model takes a bare prompt, so that ids tell nothing of its images."""
    return form_of(model_type) in BARE


def render_prompt(
    tokenizer: Any, config: Mapping[str, Any], turns: Sequence[Turn], generation: bool = True
) -> str:
    """The prompt's text. Raises `bad_template` where the model lacks the template it needs."""
    model_type = str(config.get("model_type"))
    form = form_of(model_type)
    if form is None or form.startswith("list"):
        return render(tokenizer, tokenizer, turns, generation)
    if form in BARE:
        if len(turns) > 1:
            hint = "Ask {model} each question in a run of its own."
            message = f"{model_type} answers single questions only"
            raise WorkerFailure("unsupported", message, hint)
    elif not getattr(tokenizer, "chat_template", None):
        return render(tokenizer, tokenizer, turns, generation)  # raises what fits
    with template_errors():
        rendered = apply_chat_template(
            tokenizer,
            {"model_type": model_type},
            messages(turns),
            add_generation_prompt=generation,
            num_images=sum(len(turn.images) for turn in turns),
        )
    return str(rendered)


def check_images(model_type: str, turns: Sequence[Turn]) -> None:
    """Raises `unsupported` for several images where mlx-vlm would look at the first only."""
    images = sum(len(turn.images) for turn in turns)
    if images > 1 and model_type in SINGLE_IMAGE_ONLY_MODELS:
        raise WorkerFailure(
            "unsupported",
            f"mlx-vlm's {model_type} takes one image, not {images}",
            "Ask about one image at a time, or use the transformers engine.",
        )


def count_tiles(tensors: dict[str, Any], images: int) -> int | None:
    """The number of tiles the images were cut into; None if the inputs do not show it.

    Of several images the smaller ones are padded with empty tiles, which a mask of the
    pixels (batch, tiles, height, width) shows.
    """
    pixels, mask = tensors.get("pixel_values"), tensors.get("pixel_attention_mask")
    if not images or not isinstance(pixels, mx.array):
        return None
    if pixels.ndim == 5 and isinstance(mask, mx.array) and mask.ndim == 4:
        return int((mask.sum(axis=(2, 3)) > 0).sum())
    if pixels.ndim == 5:
        return int(pixels.shape[1]) if pixels.shape[0] == 1 else None
    return int(pixels.shape[0]) if pixels.ndim == 4 else None
