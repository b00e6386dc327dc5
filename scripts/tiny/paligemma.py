"""Tiny PaliGemma, laid out as paligemma-3b-mix-224 is: a text prefix, no chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .common import INITIALISER_RANGE, save_random_weights, save_tokenizer, write_json
from .gemma import FIRST, gemma_bpe, silent_ids, soften_embeddings

SIDE, PATCH = 28, 7  # pixels
SEQUENCE = (SIDE // PATCH) ** 2  # image tokens per image
PLACES = [f"<loc{number:04}>" for number in range(1024)]
SHAPES = [f"<seg{number:03}>" for number in range(128)]
SPECIAL = [*FIRST, "<image>"]


def make_paligemma(folder: Path, seed: int) -> None:
    """`PaliGemmaForConditionalGeneration` with `PaliGemmaProcessor`."""
    tokenizer = gemma_bpe(["<image>"])
    tokenizer.add_tokens([*PLACES, *SHAPES])
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    save_tokenizer(
        folder,
        tokenizer,
        SPECIAL,
        tokenizer_class="GemmaTokenizer",
        processor_class="PaliGemmaProcessor",
        add_bos_token=True,
        add_eos_token=False,
        additional_special_tokens=["<image>"],
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        model_max_length=int(1e30),
        sp_model_kwargs={},
        spaces_between_special_tokens=False,
        use_default_system_prompt=False,
    )
    write_json(folder / "added_tokens.json", {"<image>": ids["<image>"]})
    write_json(folder / "preprocessor_config.json", _image_processor())
    write_json(folder / "config.json", _config(ids, tokenizer.get_vocab_size()))
    generation = {
        "_from_model_config": True,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    write_json(folder / "generation_config.json", generation)
    save_random_weights(
        folder,
        seed=seed + 13,
        silent=[
            *silent_ids(tokenizer, SPECIAL),
            *(tokenizer.token_to_id(token) for token in [*PLACES, *SHAPES]),
        ],
        renamed=("vision_tower.", "vision_tower.vision_model."),
    )
    soften_embeddings(folder / "model.safetensors")


def _config(ids: dict[str, int], vocabulary: int) -> dict[str, Any]:
    text = {
        "model_type": "gemma",
        "head_dim": 16,
        "hidden_size": 64,
        "initializer_range": INITIALISER_RANGE,
        "intermediate_size": 160,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_image_tokens": SEQUENCE,
        "num_key_value_heads": 1,
        "torch_dtype": "float32",
        "vocab_size": vocabulary,
    }
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 48,
        "image_size": SIDE,
        "intermediate_size": 96,
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "num_image_tokens": SEQUENCE,
        "patch_size": PATCH,
        "projection_dim": 64,
        "projector_hidden_act": "gelu_fast",
        "vision_use_head": False,
        "initializer_range": INITIALISER_RANGE,
    }
    return {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": 2,
        "eos_token_id": 1,
        "hidden_size": 64,
        "ignore_index": -100,
        "image_token_index": ids["<image>"],
        "initializer_range": INITIALISER_RANGE,
        "model_type": "paligemma",
        "pad_token_id": 0,
        "projection_dim": 64,
        "text_config": text,
        "torch_dtype": "float32",
        "vision_config": vision,
        "vocab_size": vocabulary,
    }


def _image_processor() -> dict[str, Any]:
    return {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_seq_length": SEQUENCE,
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "PaliGemmaProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": SIDE, "width": SIDE},
    }
