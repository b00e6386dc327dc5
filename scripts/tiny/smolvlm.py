"""Tiny SmolVLM2 (smolvlm) and SmolVLM (idefics3), as SmolVLM2-500M-Video-Instruct's and
SmolVLM-500M-Instruct's files are laid out.
"""

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

TILE, PATCH, SCALE = 32, 8, 2  # pixels, pixels, pixel shuffle
SEQUENCE = (TILE // PATCH) ** 2 // SCALE**2  # image tokens per tile
LONGEST = 4 * TILE
EXTRA = ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]
SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    *EXTRA,
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
]
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}VIDEO{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
VIDEO = "{% elif line['type'] == 'video' %}{{ '<video>' }}"


def make_smolvlm2(folder: Path, seed: int) -> None:
    """`SmolVLMForConditionalGeneration` with `SmolVLMProcessor`."""
    image = _image_processor("SmolVLMImageProcessor", "SmolVLMProcessor")
    image["video_sampling"] = {
        "fps": 1,
        "max_frames": 8,
        "video_size": {"longest_edge": TILE},
    }
    _make(folder, seed, "SmolVLM", "smolvlm", image, TEMPLATE.replace("VIDEO", VIDEO))


def make_smolvlm(folder: Path, seed: int) -> None:
    """`Idefics3ForConditionalGeneration` with `Idefics3Processor`."""
    image = _image_processor("Idefics3ImageProcessor", "Idefics3Processor")
    _make(folder, seed + 1, "Idefics3", "idefics3", image, TEMPLATE.replace("VIDEO", ""))


def _make(
    folder: Path, seed: int, prefix: str, model_type: str, image: dict[str, Any], template: str
) -> None:
    tokenizer = byte_level_bpe(SPECIAL)
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    save_tokenizer(
        folder,
        tokenizer,
        SPECIAL,
        tokenizer_class="GPT2Tokenizer",
        processor_class=f"{prefix}Processor",
        additional_special_tokens=EXTRA,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        add_prefix_space=False,
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
        truncation_side="left",
    )
    tokenizer.model.save(str(folder))  # vocab.json and merges.txt
    write_json(folder / "chat_template.json", {"chat_template": template})
    write_json(folder / "preprocessor_config.json", image)
    processor = {"image_seq_len": SEQUENCE, "processor_class": f"{prefix}Processor"}
    write_json(folder / "processor_config.json", processor)
    write_json(folder / "config.json", _config(prefix, model_type, ids, tokenizer))
    generation = {
        "_from_model_config": True,
        "bos_token_id": ids["<|im_start|>"],
        "eos_token_id": ids["<end_of_utterance>"],
        "pad_token_id": ids["<|im_end|>"],
    }
    write_json(folder / "generation_config.json", generation)
    save_random_weights(folder, seed=seed, silent=ids.values())


def _config(prefix: str, model_type: str, ids: dict[str, int], tokenizer: Any) -> dict[str, Any]:
    text = {
        "architectures": ["VLlama3ForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": 8192,
        "rope_theta": 100000,
        "rms_norm_eps": 1e-5,
        "pad_token_id": ids["<|im_end|>"],
        "bos_token_id": ids["<|im_start|>"],
        "eos_token_id": ids["<end_of_utterance>"],
        "initializer_range": INITIALISER_RANGE,
        "tie_word_embeddings": False,
    }
    vision = {
        "model_type": f"{model_type}_vision",
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "image_size": TILE,
        "patch_size": PATCH,
        "initializer_range": INITIALISER_RANGE,
        "tie_word_embeddings": False,
    }
    return {
        "architectures": [f"{prefix}ForConditionalGeneration"],
        "model_type": model_type,
        "image_token_id": ids["<image>"],
        "pad_token_id": ids["<|im_end|>"],
        "scale_factor": SCALE,
        "text_config": text,
        "vision_config": vision,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": tokenizer.get_vocab_size(),
        "initializer_range": INITIALISER_RANGE,
    }


def _image_processor(kind: str, processor: str) -> dict[str, Any]:
    return {
        "do_convert_rgb": True,
        "do_image_splitting": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": kind,
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": TILE},
        "processor_class": processor,
        "resample": 1,
        "rescale_factor": 0.00392156862745098,
        "size": {"longest_edge": LONGEST},
    }
