"""Tiny Phi-3.5-vision for mlx, laid out as mlx-community/Phi-3.5-vision-instruct-4bit is.

mlx-vlm fixes the vision tower's width at CLIP ViT-L's 1024, so this is the largest of the tiny
ones (12 MB). `img_processor` says how few layers it has: one, and the features are taken before
the last, so that an image costs no more than its patches on a slow machine. The processor's
and model's own Python files, which mlx-vlm does not need, are left out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from .common import INITIALISER_RANGE, save_tokenizer, sentencepiece_bpe, write_json
from .mlx_copy import convert

ADDED = [
    "<|endoftext|>",
    "<|assistant|>",
    *(f"<|placeholder{number}|>" for number in range(1, 5)),
    "<|system|>",
    "<|end|>",
    "<|placeholder5|>",
    "<|placeholder6|>",
    "<|user|>",
]
TEMPLATE = (
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + "
    "'<|end|>\n' }}{% endfor %}{% if add_generation_prompt and messages[-1]['role'] != "
    "'assistant' %}{{- '<|assistant|>\n' -}}{% endif %}"
)
CLIP, CLIP_LAYERS, CLIP_INNER = 1024, 1, 64
HIDDEN, INNER, LAYERS, HEADS = 64, 160, 3, 4


def make_phi3_v_mlx_4bit(folder: Path, seed: int) -> None:
    """`Phi3VForCausalLM` with mlx-vlm's processor, 4 bits, the vision tower as it was."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        make_base(Path(aside), seed + 4)
        convert(Path(aside), folder, bits=4)


def make_base(folder: Path, seed: int) -> None:
    """The files as microsoft/Phi-3.5-vision-instruct has them, without its code."""
    tokenizer = sentencepiece_bpe(ADDED)
    special = ["<unk>", "<s>", "</s>", *ADDED]
    ids = {token: tokenizer.token_to_id(token) for token in special}
    save_tokenizer(
        folder,
        tokenizer,
        special,
        tokenizer_class="LlamaTokenizer",
        processor_class="Phi3VProcessor",
        add_bos_token=True,
        add_eos_token=False,
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        legacy=False,
        padding_side="right",
        clean_up_tokenization_spaces=False,
        model_max_length=131072,
        chat_template=TEMPLATE,
    )
    processor = {
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "Phi3VImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "num_crops": 2,
        "num_img_tokens": 144,
        "processor_class": "Phi3VProcessor",
    }
    write_json(folder / "preprocessor_config.json", processor)
    write_json(folder / "config.json", _config(tokenizer.get_vocab_size()))
    ends = [ids["<|end|>"], ids["<|assistant|>"], ids["<|endoftext|>"]]
    generation = {"bos_token_id": 1, "eos_token_id": ends, "pad_token_id": ends[-1]}
    write_json(folder / "generation_config.json", generation)
    # The byte tokens too: text of stray bytes would test little.
    _save_weights(folder, seed, tokenizer.get_vocab_size(), [*ids.values(), *range(3, 259)])


def _config(vocabulary: int) -> dict[str, Any]:
    code = "modeling_phi3_v.Phi3VForCausalLM"
    factors = HIDDEN // HEADS // 2
    return {
        "architectures": ["Phi3VForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_phi3_v.Phi3VConfig",
            "AutoModelForCausalLM": code,
        },
        "model_type": "phi3_v",
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "img_processor": {
            "image_dim_out": CLIP,
            "model_name": "openai/clip-vit-large-patch14-336",
            "name": "clip_vision_model",
            "num_img_tokens": 144,
            "num_hidden_layers": CLIP_LAYERS,
            "intermediate_size": CLIP_INNER,
        },
        "embd_layer": {
            "embedding_cls": "image",
            "hd_transform_order": "sub_glb",
            "projection_cls": "mlp",
            "use_hd_transform": True,
            "with_learnable_separator": True,
        },
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_scaling": {
            "type": "su",
            "short_factor": [1.0 + index / 50 for index in range(factors)],
            "long_factor": [1.0 + index / 5 for index in range(factors)],
        },
        "rope_theta": 10000.0,
        "sliding_window": 262144,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": vocabulary,
    }


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    eyes = "model.vision_embed_tokens"
    clip = f"{eyes}.img_processor.vision_model"
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, HIDDEN),
        "lm_head.weight": (vocabulary, HIDDEN),
        "model.norm.weight": (HIDDEN,),
        f"{eyes}.glb_GN": (1, 1, CLIP * 4),
        f"{eyes}.sub_GN": (1, 1, 1, CLIP * 4),
        f"{clip}.embeddings.class_embedding": (CLIP,),
        f"{clip}.embeddings.patch_embedding.weight": (CLIP, 3, 14, 14),
        f"{clip}.embeddings.position_embedding.weight": (577, CLIP),
    }
    linear = {f"{eyes}.img_projection.0": (HIDDEN, CLIP * 4)}
    linear[f"{eyes}.img_projection.2"] = (HIDDEN, HIDDEN)
    norms = ["pre_layrnorm", "post_layernorm"]
    for layer in range(CLIP_LAYERS):
        start = f"encoder.layers.{layer}"
        norms += [f"{start}.layer_norm1", f"{start}.layer_norm2"]
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear[f"{clip}.{start}.self_attn.{name}"] = (CLIP, CLIP)
        linear[f"{clip}.{start}.mlp.fc1"] = (CLIP_INNER, CLIP)
        linear[f"{clip}.{start}.mlp.fc2"] = (CLIP, CLIP_INNER)
    for layer in range(LAYERS):
        start = f"model.layers.{layer}"
        shapes[f"{start}.input_layernorm.weight"] = (HIDDEN,)
        shapes[f"{start}.post_attention_layernorm.weight"] = (HIDDEN,)
        shapes[f"{start}.self_attn.qkv_proj.weight"] = (3 * HIDDEN, HIDDEN)
        shapes[f"{start}.self_attn.o_proj.weight"] = (HIDDEN, HIDDEN)
        shapes[f"{start}.mlp.gate_up_proj.weight"] = (2 * INNER, HIDDEN)
        shapes[f"{start}.mlp.down_proj.weight"] = (HIDDEN, INNER)
    for norm in norms:
        shapes |= {f"{clip}.{norm}.weight": (CLIP,), f"{clip}.{norm}.bias": (CLIP,)}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def _save_weights(folder: Path, seed: int, vocabulary: int, silent: list[int]) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    weights = {}
    for name, shape in sorted(_shapes(vocabulary).items()):
        if "norm" in name and name.endswith("weight"):
            weights[name] = torch.ones(shape)
        elif name.endswith("bias"):
            weights[name] = torch.zeros(shape)
        else:
            fan = shape[-1] if len(shape) > 1 else 1
            scale = INITIALISER_RANGE if fan <= 4 * HIDDEN else fan**-0.5
            weights[name] = torch.randn(shape) * scale
    weights["lm_head.weight"][silent] = 0
    half = {name: weight.bfloat16() for name, weight in weights.items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
