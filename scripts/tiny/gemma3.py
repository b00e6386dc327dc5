"""Tiny Gemma 3, laid out as gemma-3-4b-it is: sliding windows, tied embeddings, SigLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .common import INITIALISER_RANGE, save_random_weights, save_tokenizer, write_json
from .gemma import FIRST, gemma_bpe, silent_ids, soften_embeddings

SIDE, PATCH = 28, 7  # pixels
SEQUENCE = 4  # image tokens per image, pooled
NAMED = {
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
}
TURNS = ["<start_of_turn>", "<end_of_turn>"]
SPECIAL = [*FIRST, *TURNS, *NAMED.values()]
TEMPLATE = (
    "{{ bos_token }}{%- for message in messages -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    '{{ raise_exception("Conversation roles must alternate user/assistant/...") }}{%- endif -%}'
    "{%- if (message['role'] == 'assistant') -%}{%- set role = \"model\" -%}{%- else -%}"
    "{%- set role = message['role'] -%}{%- endif -%}{{ '<start_of_turn>' + role + '\n' }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}"
    "{%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}"
    "{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}"
    "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}"
    '{%- else -%}{{ raise_exception("Invalid content type") }}{%- endif -%}'
    "{{ '<end_of_turn>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{'<start_of_turn>model\n'}}{%- endif -%}"
)


def make_gemma3(folder: Path, seed: int) -> None:
    """`Gemma3ForConditionalGeneration` with `Gemma3Processor`."""
    tokenizer = gemma_bpe([*TURNS, *NAMED.values()])
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    save_tokenizer(
        folder,
        tokenizer,
        SPECIAL,
        tokenizer_class="GemmaTokenizer",
        processor_class="Gemma3Processor",
        add_bos_token=True,
        add_eos_token=False,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=NAMED,
        model_max_length=int(1e30),
        sp_model_kwargs=None,
        spaces_between_special_tokens=False,
        use_default_system_prompt=False,
        **NAMED,
    )
    image = NAMED["image_token"]
    write_json(folder / "added_tokens.json", {image: ids[image]})
    write_json(folder / "chat_template.json", {"chat_template": TEMPLATE})
    write_json(folder / "preprocessor_config.json", _image_processor())
    processor = {"image_seq_length": SEQUENCE, "processor_class": "Gemma3Processor"}
    write_json(folder / "processor_config.json", processor)
    write_json(folder / "config.json", _config(ids, tokenizer.get_vocab_size()))
    generation = {
        "bos_token_id": 2,
        "cache_implementation": "hybrid",
        "do_sample": True,
        "eos_token_id": [1, ids["<end_of_turn>"]],
        "pad_token_id": 0,
        "top_k": 64,
        "top_p": 0.95,
    }
    write_json(folder / "generation_config.json", generation)
    save_random_weights(
        folder,
        seed=seed + 12,
        silent=silent_ids(tokenizer, SPECIAL),
        renamed=("vision_tower.", "vision_tower.vision_model."),
    )
    soften_embeddings(folder / "model.safetensors")
    _open_eyes(folder / "model.safetensors", seed)


def _config(ids: dict[str, int], vocabulary: int) -> dict[str, Any]:
    text = {
        "model_type": "gemma3_text",
        "head_dim": 16,
        "hidden_size": 64,
        "initializer_range": INITIALISER_RANGE,
        "intermediate_size": 160,
        "mm_tokens_per_image": SEQUENCE,  # mlx-vlm looks for it here
        "num_attention_heads": 4,
        "num_hidden_layers": 7,  # six make the pattern of sliding windows
        "num_key_value_heads": 2,
        "query_pre_attn_scalar": 16,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 32,
        "vocab_size": vocabulary,
    }
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 48,
        "image_size": SIDE,
        "intermediate_size": 96,
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "patch_size": PATCH,
        "vision_use_head": False,
        "initializer_range": INITIALISER_RANGE,
    }
    return {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "boi_token_index": ids["<start_of_image>"],
        "eoi_token_index": ids["<end_of_image>"],
        "eos_token_id": [1, ids["<end_of_turn>"]],
        "image_token_index": ids["<image_soft_token>"],
        "initializer_range": INITIALISER_RANGE,
        "mm_tokens_per_image": SEQUENCE,
        "model_type": "gemma3",
        "text_config": text,
        "torch_dtype": "float32",
        "vision_config": vision,
    }


def _open_eyes(path: Path, seed: int) -> None:
    """Fill the projection from images to text, which the library makes of zeros."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    name = "multi_modal_projector.mm_input_projection_weight"
    torch.manual_seed(seed)
    weights[name] = torch.randn_like(weights[name]) * INITIALISER_RANGE
    save_file(weights, path, metadata={"format": "pt"})


def _image_processor() -> dict[str, Any]:
    return {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_pan_and_scan": None,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "Gemma3ImageProcessor",
        "image_seq_length": SEQUENCE,
        "image_std": [0.5, 0.5, 0.5],
        "pan_and_scan_max_num_crops": None,
        "pan_and_scan_min_crop_size": None,
        "pan_and_scan_min_ratio_to_activate": None,
        "processor_class": "Gemma3Processor",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": SIDE, "width": SIDE},
    }
