"""A processor's settings: taken from the config, given by the user, or noted as unknown."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from workers.processor_settings import apply_settings, fill_missing_settings


class Sizes(TypedDict, total=False):
    size: dict[str, int]


class Declared:
    """An image processor as in transformers 5: its settings are declared, not parameters."""

    valid_kwargs = Sizes

    def __init__(self, **kwargs: Any) -> None:
        self.size = {"longest_edge": 10}


class Ranged:
    """One of a library that takes no settings from a checkpoint."""

    def __init__(self, min_pixels: int = 1, max_pixels: int = 100) -> None:
        self.min_pixels, self.max_pixels = min_pixels, max_pixels


class Processor:
    def __init__(self, image_processor: Any, patch_size: int | None = None) -> None:
        self.image_processor, self.patch_size = image_processor, patch_size
        self.vision_feature_select_strategy: str | None = None
        self.num_additional_image_tokens = 0


OURS = __name__.partition(".")[0]


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({"max_pixels": 50}, (1, 50)),
        ({"min_pixels": 7, "max_pixels": 50}, (7, 50)),
        ({"size": {"shortest_edge": 7, "longest_edge": 50}}, (7, 50)),
        ({"size": {"longest_edge": 50}}, (1, 50)),
    ],
)
def test_library_that_ignores_settings_gets_them(
    settings: dict[str, Any], limits: tuple[int, int]
) -> None:
    processor = Processor(Ranged())
    assert apply_settings(processor, settings, OURS) == []
    image = processor.image_processor
    assert (image.min_pixels, image.max_pixels) == limits


def test_processor_built_with_its_settings_is_not_changed() -> None:
    processor = Processor(Declared())
    assert apply_settings(processor, {"size": {"longest_edge": 5}}, "another") == []
    assert processor.image_processor.size == {"longest_edge": 10}


@pytest.mark.parametrize("image_processor", [Ranged(), Declared(), None])
def test_unknown_setting_is_noted(image_processor: Any) -> None:
    notes = apply_settings(Processor(image_processor), {"max_tiles": 2, "patch_size": 3}, "")
    assert notes == [
        "the processor setting 'max_tiles' changed nothing: Processor has no such setting"
    ]


@pytest.mark.parametrize(
    ("vision", "filled"),
    [
        ({"patch_size": 14, "model_type": "clip_vision_model"}, (14, "default", 1)),
        ({"patch_size": 16, "model_type": "siglip_vision_model"}, (16, "default", 0)),
        ({}, (None, "default", 0)),
    ],
)
def test_missing_settings_come_from_the_config(vision: dict[str, Any], filled: Any) -> None:
    processor = Processor(None)
    (note,) = fill_missing_settings(processor, {"vision_config": vision})
    assert "taken from config.json" in note
    strategy = processor.vision_feature_select_strategy
    assert (processor.patch_size, strategy, processor.num_additional_image_tokens) == filled
    assert fill_missing_settings(processor, {"vision_config": vision}) == []


def test_config_names_the_strategy_and_known_settings_stay() -> None:
    processor = Processor(None, patch_size=7)
    config = {"vision_config": {"patch_size": 14}, "vision_feature_select_strategy": "full"}
    fill_missing_settings(processor, config)
    assert (processor.patch_size, processor.vision_feature_select_strategy) == (7, "full")
