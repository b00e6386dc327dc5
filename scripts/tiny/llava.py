"""Tiny LLaVA 1.5 and 1.6, laid out as llava-1.5-7b-hf and llava-v1.6-mistral-7b-hf are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .common import (
    INITIALISER_RANGE,
    save_random_weights,
    save_tokenizer,
    sentencepiece_bpe,
    write_json,
)

SIDE, PATCH = 28, 7  # pixels
ADDED = ["<image>", "<pad>"]
PINPOINTS = [[1, 2], [2, 1], [2, 2], [3, 1], [1, 3]]  # tiles high and wide
IMAGES = (
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
)
TEXTS = "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
VICUNA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ message['role'].upper() + ': '}}{% endif %}"
    f"{IMAGES}{TEXTS}{{{{ content['text'] + ' '}}}}{{% endfor %}}{{% endfor %}}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
MISTRAL = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}"
    f"{IMAGES}{TEXTS}{{{{ content['text'] }}}}{{% endfor %}}"
    "{{' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'][0]['text'] + '</s> '}}{% endif %}{% endfor %}"
)


def make_llava(folder: Path, seed: int) -> None:
    """`LlavaForConditionalGeneration` on a llama, with `LlavaProcessor`."""
    _make(folder, seed + 2, "Llava", "llava", "llama", VICUNA, _clip("CLIPImageProcessor"))


def make_llava_next(folder: Path, seed: int) -> None:
    """`LlavaNextForConditionalGeneration` on a mistral, with `LlavaNextProcessor`."""
    image = _clip("LlavaNextImageProcessor")
    image["aspect_ratio_setting"] = "anyres"
    image["image_grid_pinpoints"] = _pinpoints()
    _make(folder, seed + 3, "LlavaNext", "llava_next", "mistral", MISTRAL, image)


def _make(
    folder: Path,
    seed: int,
    prefix: str,
    model_type: str,
    text_type: str,
    template: str,
    image: dict[str, Any],
) -> None:
    tokenizer = sentencepiece_bpe(ADDED)
    special = ["<unk>", "<s>", "</s>", *ADDED]
    ids = {token: tokenizer.token_to_id(token) for token in special}
    save_tokenizer(
        folder,
        tokenizer,
        special,
        tokenizer_class="LlamaTokenizer",
        processor_class=f"{prefix}Processor",
        add_bos_token=True,
        add_eos_token=False,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        legacy=False,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )
    write_json(folder / "chat_template.json", {"chat_template": template})
    write_json(
        folder / "preprocessor_config.json", {**image, "processor_class": f"{prefix}Processor"}
    )
    processor = {
        "image_token": "<image>",
        "num_additional_image_tokens": 1,
        "patch_size": PATCH,
        "processor_class": f"{prefix}Processor",
        "vision_feature_select_strategy": "default",
    }
    write_json(folder / "processor_config.json", processor)
    config = _config(prefix, model_type, text_type, ids, tokenizer.get_vocab_size())
    write_json(folder / "config.json", config)
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": ids["<pad>"]}
    write_json(folder / "generation_config.json", generation)
    save_random_weights(
        folder,
        seed=seed,
        # The byte tokens too: text of stray bytes would test little.
        silent=[*ids.values(), *range(3, 259)],
        # The published files' names, which transformers still reads and mlx-vlm insists on.
        renamed=("vision_tower.", "vision_tower.vision_model."),
    )


def _config(
    prefix: str, model_type: str, text_type: str, ids: dict[str, int], vocabulary: int
) -> dict[str, Any]:
    text = {
        "architectures": [f"{text_type.capitalize()}ForCausalLM"],
        "model_type": text_type,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": vocabulary,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "initializer_range": INITIALISER_RANGE,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    }
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "image_size": SIDE,
        "patch_size": PATCH,
        "projection_dim": 32,
        "initializer_range": INITIALISER_RANGE,
        "vocab_size": vocabulary,
    }
    if text_type == "mistral":
        text["rope_theta"] = 1e6  # as published; the engines' own defaults differ
    config = {
        "architectures": [f"{prefix}ForConditionalGeneration"],
        "model_type": model_type,
        "ignore_index": -100,
        "image_token_index": ids["<image>"],
        "image_seq_length": (SIDE // PATCH) ** 2,
        "pad_token_id": ids["<pad>"],
        "projector_hidden_act": "gelu",
        "text_config": text,
        "vision_config": vision,
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "initializer_range": INITIALISER_RANGE,
    }
    return config | ({"image_grid_pinpoints": _pinpoints()} if prefix == "LlavaNext" else {})


def _pinpoints() -> list[list[int]]:
    return [[high * SIDE, wide * SIDE] for high, wide in PINPOINTS]


def _clip(kind: str) -> dict[str, Any]:
    return {
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": kind,
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": SIDE},
    }
