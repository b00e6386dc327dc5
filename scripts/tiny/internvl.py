"""Tiny InternVL3 in transformers' own form, laid out as InternVL3-1B-hf is."""

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

SIDE, PATCH = 28, 7  # pixels
SEQUENCE = (SIDE // PATCH) ** 2 // 4  # image tokens per tile
NAMED = {
    "context_image_token": "<IMG_CONTEXT>",
    "end_image_token": "</img>",
    "start_image_token": "<img>",
    "video_token": "<video>",
}
SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    *NAMED.values(),
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
]
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'video' %}{{ '<video>\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)


def make_internvl3(folder: Path, seed: int) -> None:
    """`InternVLForConditionalGeneration` on a qwen2, with `InternVLProcessor`."""
    tokenizer = byte_level_bpe(SPECIAL)
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    save_tokenizer(
        folder,
        tokenizer,
        SPECIAL,
        tokenizer_class="Qwen2Tokenizer",
        processor_class="InternVLProcessor",
        add_bos_token=False,
        add_prefix_space=False,
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        errors="replace",
        extra_special_tokens=NAMED,
        model_max_length=8192,
        unk_token=None,
        **NAMED,
    )
    tokenizer.model.save(str(folder))  # vocab.json and merges.txt
    write_json(folder / "added_tokens.json", ids)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    write_json(folder / "preprocessor_config.json", _image_processor())
    processor = {"image_seq_length": SEQUENCE, "processor_class": "InternVLProcessor"}
    write_json(folder / "processor_config.json", processor)
    write_json(folder / "config.json", _config(ids, tokenizer.get_vocab_size()))
    generation = {
        "_from_model_config": True,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    write_json(folder / "generation_config.json", generation)
    save_random_weights(folder, seed=seed + 11, silent=ids.values())


def _config(ids: dict[str, int], vocabulary: int) -> dict[str, Any]:
    text = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": vocabulary,
        "max_position_embeddings": 32768,
        "max_window_layers": 3,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_scaling": {"factor": 2.0, "rope_type": "dynamic"},
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "initializer_range": INITIALISER_RANGE,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }
    vision = {
        "architectures": ["InternVisionModel"],
        "model_type": "internvl_vision",
        "attention_bias": True,
        "hidden_act": "gelu",
        "hidden_size": 48,
        "image_size": [SIDE, SIDE],
        "intermediate_size": 96,
        "layer_norm_eps": 1e-6,
        "norm_type": "layer_norm",
        "num_attention_heads": 3,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": [PATCH, PATCH],
        "use_absolute_position_embeddings": True,
        "use_mask_token": False,
        "use_mean_pooling": True,
        "use_qk_norm": False,
        "initializer_range": INITIALISER_RANGE,
        "torch_dtype": "float32",
    }
    return {
        "architectures": ["InternVLForConditionalGeneration"],
        "downsample_ratio": 0.5,
        "image_seq_length": SEQUENCE,
        "image_token_id": ids["<IMG_CONTEXT>"],
        "model_type": "internvl",
        "projector_hidden_act": "gelu",
        "text_config": text,
        "vision_config": vision,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "initializer_range": INITIALISER_RANGE,
    }


def _image_processor() -> dict[str, Any]:
    return {
        "crop_size": None,
        "crop_to_patches": False,  # its processor asks for patches anyway
        "data_format": "channels_first",
        "do_center_crop": None,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "GotOcr2ImageProcessorFast",
        "image_std": [0.229, 0.224, 0.225],
        "max_patches": 6,
        "min_patches": 1,
        "processor_class": "InternVLProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": SIDE, "width": SIDE},
    }
