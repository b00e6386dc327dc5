"""LLaVA 1.5 in mlx-vlm: its processor called by ourselves.

mlx-vlm 0.7.10's way in gives `padding` to the LLaVA processor, which hands it on to the image
processor of transformers 5, which refuses it. LLaVA 1.6's processor drops it.
"""

from __future__ import annotations

from typing import Any

from workers.engines.mlx.hooks import ModelAdapter


class LlavaHooks(ModelAdapter):
    """LLaVA 1.6 uses the default steps."""

    def load_model(self) -> None:
        super().load_model()
        if self.model_type == "llava_next":
            self.notes.append(
                "mlx-vlm joins this model's tiles in its own way: whole tiles, each with a tile of "
                "line ends, whatever the prompt's image tokens say; transformers' answers differ"
            )

    def process(self, text: str, images: list[Any]) -> dict[str, Any]:
        if self.model_type != "llava" or not images:
            return super().process(text, images)
        text = self.without_bos(text)
        return dict(self.processor(images=images, text=[text]))
