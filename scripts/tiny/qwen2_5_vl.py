"""Tiny Qwen2.5-VL, laid out as Qwen2.5-VL-3B-Instruct is: a flat config, three-part rotary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .common import (
    INITIALISER_RANGE,
    byte_level_bpe,
    save_random_weights,
    save_tokenizer,
    write_json,
)

PATCH, MERGE = 7, 2  # pixels, patches a side
SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' or "
    "'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_qwen2_5_vl(folder: Path, seed: int) -> None:
    """`Qwen2_5_VLForConditionalGeneration` with `Qwen2_5_VLProcessor`."""
    tokenizer = byte_level_bpe(SPECIAL)
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    save_tokenizer(
        folder,
        tokenizer,
        SPECIAL,
        tokenizer_class="Qwen2Tokenizer",
        additional_special_tokens=SPECIAL[1:-1],
        add_bos_token=False,
        add_prefix_space=False,
        bos_token=None,
        chat_template=TEMPLATE,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        errors="replace",
        model_max_length=131072,
        split_special_tokens=False,
        unk_token=None,
    )
    tokenizer.model.save(str(folder))  # vocab.json and merges.txt
    write_json(folder / "chat_template.json", {"chat_template": TEMPLATE})
    image = {
        "min_pixels": 4 * (PATCH * MERGE) ** 2,
        "max_pixels": 64 * (PATCH * MERGE) ** 2,
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": MERGE,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }
    write_json(folder / "preprocessor_config.json", image)
    write_json(folder / "config.json", _config(ids, tokenizer.get_vocab_size()))
    generation = {
        "bos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "do_sample": True,
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "repetition_penalty": 1.05,
        "temperature": 0.000001,
    }
    write_json(folder / "generation_config.json", generation)
    save_random_weights(folder, seed=seed + 10, silent=ids.values())


def _config(ids: dict[str, int], vocabulary: int) -> dict[str, Any]:
    vision = {
        "depth": 3,
        "hidden_act": "silu",
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_heads": 3,
        "in_chans": 3,
        "out_hidden_size": 64,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "spatial_patch_size": PATCH,
        "window_size": 4 * PATCH * MERGE,
        "fullatt_block_indexes": [2],
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
        "initializer_range": INITIALISER_RANGE,
    }
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": INITIALISER_RANGE,
        "intermediate_size": 160,
        "max_position_embeddings": 128000,
        "max_window_layers": 3,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        # The published 3B ties them; untied here so that silent tokens keep their input rows.
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": vision,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vocab_size": vocabulary,
    }
