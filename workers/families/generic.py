"""Any vision-language model that transformers knows and that has a chat template."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="generic",
    title="Any image-text-to-text model",
    engines=("transformers", "mlx"),
    official_use="AutoModelForImageTextToText and AutoProcessor with the model's chat template.",
    what_fails="Models without a chat template, and most models that need remote code.",
    how_loaded="AutoModelForImageTextToText + AutoProcessor from local safetensors.",
    prompt_format="The model's own chat template, image slots first, then the text.",
    image_form="PIL images to the model's own processor.",
)
HOOKS: Mapping[str, str] = {}
