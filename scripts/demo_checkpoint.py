"""Write the demo model's files in the hub's layout: everything but the weights' values.

This file exists so that the fixed choices of the recipe are in one place, chosen so that
transformers and mlx-vlm read them alike:

* every image becomes exactly one SIDE x SIDE tile, never padded and never split, because
  mlx-vlm's vision tower ignores the attention mask;
* patches per side are a power of two, so that position buckets have no rounding to disagree on;
* `layer_norm_eps` is 1e-5 (mlx-vlm's last layer norm knows no other), the activation is the tanh
  kind of GELU, and `rope_theta` and `image_token_index` are spelled out for mlx-vlm.

It trains nothing (see train_demo_model.py).
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from demo_drawing import FIRST_TRAINING_SEED, random_scene
from demo_questions import ask_any, ask_aside
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SIDE = 128
PATCH = 8
GRID = SIDE // PATCH
SHUFFLE = 2
IMAGE_TOKENS = (GRID // SHUFFLE) ** 2
VOCABULARY = 560
MAX_POSITIONS = 512

START, END, PAD = "<|im_start|>", "<end_of_utterance>", "<|pad|>"
FAKE, IMAGE, GLOBAL = "<fake_token_around_image>", "<image>", "<global-img>"
SPECIAL = (PAD, START, END, FAKE, IMAGE, GLOBAL)

CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'] is string %}{{ ': ' + message['content'] }}"
    "{% else %}{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}"
    "{% endif %}{% for part in message['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "{% endif %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def squeeze(image: Image.Image) -> Image.Image:
    """Resize as the shipped image processor does: longest edge to SIDE, then to a square."""
    width, height = image.size
    aspect = width / height
    if width >= height:
        width, height = SIDE, int(SIDE / aspect)
        height = max(height + height % 2, 1)
    else:
        width, height = int(SIDE * aspect), SIDE
        width = max(width + width % 2, 1)
    once = image.resize((width, height), Image.Resampling.BILINEAR)
    return once.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def corpus(images: int = 3000) -> list[str]:
    """Questions and answers to train the tokenizer on."""
    rng = random.Random(0)
    lines = []
    for index in range(images):
        scene = random_scene(FIRST_TRAINING_SEED + index)
        for asked in (ask_any(scene, rng), ask_any(scene, rng), ask_aside(scene, rng)):
            lines.append(f"\nUser: {asked.question}")
            lines.append(f"\nAssistant: {asked.answer}")
    return lines


def make_tokenizer() -> Tokenizer:
    """Train a small byte-level BPE, so that any text at all can be tokenised."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def model_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """The config.json that both engines read."""
    image_id = tokenizer.token_to_id(IMAGE)
    text = {
        "model_type": "llama",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 128,
        "intermediate_size": 288,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 32,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": MAX_POSITIONS,
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.token_to_id(START),
        "eos_token_id": tokenizer.token_to_id(END),
        "pad_token_id": tokenizer.token_to_id(PAD),
    }
    vision = {
        "model_type": "idefics3_vision",
        "hidden_size": 160,
        "intermediate_size": 416,
        "num_hidden_layers": 6,
        "num_attention_heads": 5,
        "num_channels": 3,
        "image_size": SIDE,
        "patch_size": PATCH,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-5,
    }
    return {
        "architectures": ["Idefics3ForConditionalGeneration"],
        "model_type": "idefics3",
        "dtype": "float32",
        "image_token_id": image_id,
        "image_token_index": image_id,
        "scale_factor": SHUFFLE,
        "tie_word_embeddings": False,
        "vocab_size": text["vocab_size"],
        **{key: text[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        "text_config": text,
        "vision_config": vision,
    }


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "Idefics3Processor",
        "bos_token": START,
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [FAKE, IMAGE, GLOBAL],
        "clean_up_tokenization_spaces": False,
        "model_max_length": MAX_POSITIONS,
        "padding_side": "left",
        # transformers 4 would hand token types to a model that takes none.
        "model_input_names": ["input_ids", "attention_mask"],
    }


def _image_config() -> dict[str, Any]:
    return {
        "image_processor_type": "Idefics3ImageProcessor",
        "processor_class": "Idefics3Processor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_image_splitting": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_pad": True,
        "resample": int(Image.Resampling.BILINEAR),
        "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"longest_edge": SIDE},
        "max_image_size": {"longest_edge": SIDE},
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_files(folder: Path, tokenizer: Tokenizer) -> None:
    """Write every file of the checkpoint but model.safetensors and README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = model_config(tokenizer)
    ids = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write(folder / "config.json", config)
    _write(folder / "generation_config.json", {"do_sample": False, "max_new_tokens": 64, **ids})
    _write(folder / "tokenizer_config.json", _tokenizer_config())
    _write(folder / "preprocessor_config.json", _image_config())
    _write(
        folder / "processor_config.json",
        {"processor_class": "Idefics3Processor", "image_seq_len": IMAGE_TOKENS},
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
