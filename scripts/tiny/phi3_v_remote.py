"""Tiny Phi-3.5-vision stand-in: our own remote code in the published repository's layout."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

from .common import byte_level_bpe, save_tokenizer, write_json
from .moondream2 import copy_code, save_weights

SPECIAL = ["<unk>", "<s>", "<|endoftext|>", "<|assistant|>", "<|user|>", "<|end|>"]
TEMPLATE = (
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + "
    "'<|end|>\n' }}{% endfor %}{% if add_generation_prompt and messages[-1]['role'] != "
    "'assistant' %}{{- '<|assistant|>\n' -}}{% endif %}"
)
CONFIG = {
    "_attn_implementation": "flash_attention_2",
    "_name_or_path": "Phi-3.5-vision-instruct",
    "architectures": ["Phi3VForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_phi3_v.Phi3VConfig",
        "AutoModelForCausalLM": "modeling_phi3_v.Phi3VForCausalLM",
    },
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 64,
    "max_position_embeddings": 1024,
    "model_type": "phi3_v",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "original_max_position_embeddings": 64,
    "rope_scaling": {
        "long_factor": [1.5 + n / 8 for n in range(8)],
        "short_factor": [1.0 + n / 80 for n in range(8)],
        "type": "su",
    },
    "sliding_window": 262144,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.38.1",
    "use_cache": True,
    "vocab_size": 512,
}
PROCESSORS = {
    "AutoImageProcessor": "processing_phi3_v.Phi3VImageProcessor",
    "AutoProcessor": "processing_phi3_v.Phi3VProcessor",
}


def make_phi3_v_remote(folder: Path, seed: int) -> None:
    """`Phi3VForCausalLM` and `Phi3VProcessor` of the checkpoint's own code."""
    tokenizer = byte_level_bpe(SPECIAL)
    save_tokenizer(
        folder,
        tokenizer,
        SPECIAL,
        tokenizer_class="PreTrainedTokenizerFast",
        add_bos_token=False,
        add_eos_token=False,
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    copy_code("phi3_v", folder)
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "generation_config.json", {"eos_token_id": [5, 3, 2], "pad_token_id": 2})
    image = {
        "auto_map": PROCESSORS,
        "image_processor_type": "Phi3VImageProcessor",
        "num_crops": 4,
        "num_img_tokens": 4,
        "processor_class": "Phi3VProcessor",
    }
    write_json(folder / "preprocessor_config.json", image)
    package = "tiny.remote.phi3_v"
    module = importlib.import_module(f"{package}.modeling_phi3_v")
    configuration = importlib.import_module(f"{package}.configuration_phi3_v")
    with warnings.catch_warnings():  # published code uses `rope_scaling`, as here
        warnings.filterwarnings("ignore", "`rope_scaling` is deprecated", FutureWarning)
        config = configuration.Phi3VConfig(**{k: v for k, v in CONFIG.items() if k[0] != "_"})
    config._attn_implementation = "eager"
    save_weights(module.Phi3VForCausalLM(config), folder, seed, tokenizer=tokenizer)
