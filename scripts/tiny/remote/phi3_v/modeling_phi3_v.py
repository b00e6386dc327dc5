"""Stand-in for Phi-3.5-vision's model, written as for transformers 4.43, at toy size.

Defects kept: Cache words that are gone, flash attention unless the private
`_attn_implementation` says otherwise, position ids taken as they come, tied keys as a list.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_attn_mask_utils import _prepare_4d_causal_attention_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel

from .configuration_phi3_v import Phi3VConfig

CROP, PATCH = 16, 8


class Phi3SuScaledRotaryEmbedding(nn.Module):
    """Short factors up to the original length, long ones beyond: found at each call."""

    def __init__(self, dim, config):
        super().__init__()
        self.dim, self.config = dim, config
        self.register_buffer("inv_freq", None, persistent=False)

    def forward(self, x, position_ids, seq_len):
        scaling = self.config.rope_scaling
        beyond = seq_len > self.config.original_max_position_embeddings
        factors = torch.tensor(scaling["long_factor" if beyond else "short_factor"])
        self.inv_freq = 1.0 / (factors * 10000.0 ** (torch.arange(0, self.dim, 2) / self.dim))
        angles = position_ids[..., None].float() * self.inv_freq.to(x.device)
        angles = torch.cat([angles, angles], dim=-1).unsqueeze(1)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class Phi3Attention(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        size = config.hidden_size
        self.layer_idx, self.heads = layer_idx, config.num_attention_heads
        self.qkv_proj, self.o_proj = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.rotary_emb = Phi3SuScaledRotaryEmbedding(size // self.heads, config)

    def forward(self, x, attention_mask, position_ids, past_key_value):
        q, k, v = (
            part.view(*part.shape[:2], self.heads, -1).transpose(1, 2)
            for part in self.qkv_proj(x).chunk(3, dim=-1)
        )
        length = k.shape[-2]
        if past_key_value is not None:
            length += past_key_value.get_usable_length(length, self.layer_idx)
        cos, sin = self.rotary_emb(v, position_ids, seq_len=length)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if past_key_value is not None:
            k, v = past_key_value.update(k, v, self.layer_idx, {"sin": sin, "cos": cos})
        weights = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if attention_mask is not None:
            if attention_mask.size() != weights[:, :1].size():
                raise ValueError(f"Attention mask should be of size {weights[:, :1].size()}")
            weights = weights + attention_mask
        attended = weights.softmax(dim=-1) @ v
        return self.o_proj(attended.transpose(1, 2).reshape(x.shape))


class Phi3FlashAttention2(Phi3Attention):
    def __init__(self, *args):
        raise ImportError("the package flash_attn seems to be not installed")


PHI3_ATTENTION_CLASSES = {"eager": Phi3Attention, "flash_attention_2": Phi3FlashAttention2}


class Phi3DecoderLayer(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        size = config.hidden_size
        self.self_attn = PHI3_ATTENTION_CLASSES[config._attn_implementation](config, layer_idx)
        self.input_layernorm = nn.LayerNorm(size)
        self.gate_up_proj, self.down_proj = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, x, attention_mask, position_ids, past_key_value):
        x = x + self.self_attn(
            self.input_layernorm(x), attention_mask, position_ids, past_key_value
        )
        return x + self.down_proj(F.silu(self.gate_up_proj(x)))


class Phi3ImageEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.img_processor = nn.Linear(3 * PATCH**2, config.hidden_size)
        self.img_projection = nn.Linear(config.hidden_size, config.hidden_size)
        places = torch.arange((CROP // PATCH) ** 2, dtype=torch.float32)
        self.register_buffer("places", places.sin()[:, None], persistent=False)

    def forward(self, crops):
        x = F.unfold(crops, PATCH, stride=PATCH).transpose(1, 2)
        return self.img_projection(F.gelu(self.img_processor(x) + self.places.to(x.dtype)))


class Phi3VPreTrainedModel(PreTrainedModel):
    config_class = Phi3VConfig
    base_model_prefix = "model"
    _no_split_modules = ["Phi3DecoderLayer"]  # noqa: RUF012
    _skip_keys_device_placement = "past_key_values"
    _supports_flash_attn_2 = True
    _supports_sdpa = False
    _supports_cache_class = True

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(mean=0.0, std=0.02)


class Phi3VModel(Phi3VPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.vision_embed_tokens = Phi3ImageEmbedding(config)
        self._attn_implementation = config._attn_implementation
        layers = range(config.num_hidden_layers)
        self.layers = nn.ModuleList([Phi3DecoderLayer(config, layer) for layer in layers])
        self.norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed_tokens

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        pixel_values=None,
        image_sizes=None,
        use_cache=None,
    ):
        use_cache = self.config.use_cache if use_cache is None else use_cache
        batch, length = input_ids.shape
        before, legacy = 0, False
        if use_cache:
            legacy = not isinstance(past_key_values, Cache)
            if legacy:
                past_key_values = DynamicCache.from_legacy_cache(past_key_values)
            before = past_key_values.get_usable_length(length)
        if position_ids is None:
            position_ids = torch.arange(before, before + length, device=input_ids.device)[None]
        position_ids = position_ids.view(-1, length).long()
        x = self.embed_tokens(input_ids.clamp_min(0))
        places = input_ids < 0
        if pixel_values is not None and places.any():
            counts = [1 + (h // CROP) * (w // CROP) for h, w in image_sizes.tolist()]
            crops = torch.cat([one[:n] for one, n in zip(pixel_values, counts, strict=True)])
            seen = self.vision_embed_tokens(crops.to(x.dtype)).flatten(0, 1)
            x = x.masked_scatter(places.unsqueeze(-1), seen)
        mask = _prepare_4d_causal_attention_mask(
            attention_mask, (batch, length), x, before, sliding_window=self.config.sliding_window
        )
        for layer in self.layers:
            x = layer(x, mask, position_ids, past_key_values if use_cache else None)
        cache = None
        if use_cache:
            cache = past_key_values.to_legacy_cache() if legacy else past_key_values
        return BaseModelOutputWithPast(last_hidden_state=self.norm(x), past_key_values=cache)


class Phi3VForCausalLM(Phi3VPreTrainedModel):
    _tied_weights_keys = ["lm_head.weight"]  # noqa: RUF012

    def __init__(self, config):
        super().__init__(config)
        self.model = Phi3VModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.model.embed_tokens

    def get_output_embeddings(self):
        return self.lm_head

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        pixel_values=None,
        image_sizes=None,
        labels=None,
        use_cache=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
    ):
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            pixel_values=pixel_values,
            image_sizes=image_sizes,
            use_cache=use_cache,
        )
        logits = self.lm_head(outputs.last_hidden_state).float()
        return CausalLMOutputWithPast(logits=logits, past_key_values=outputs.past_key_values)

    def prepare_inputs_for_generation(
        self,
        input_ids,
        past_key_values=None,
        attention_mask=None,
        inputs_embeds=None,
        pixel_values=None,
        image_sizes=None,
        **kwargs,
    ):
        limit = self.config.original_max_position_embeddings
        crosses = self.config.rope_scaling and input_ids.shape[1] >= limit + 1
        if past_key_values and crosses and past_key_values.seen_tokens <= limit:
            past_key_values = None  # its entries were rotated by the short factors
        if past_key_values is not None:
            cache_length, past_length = (
                past_key_values.get_seq_length(),
                past_key_values.seen_tokens,
            )
            max_cache_length = past_key_values.get_max_length()
            if attention_mask is not None and attention_mask.shape[1] > input_ids.shape[1]:
                input_ids = input_ids[:, -(attention_mask.shape[1] - past_length) :]
            elif past_length < input_ids.shape[1]:
                input_ids = input_ids[:, past_length:]
            full = cache_length + input_ids.shape[1]
            if max_cache_length is not None and full > max_cache_length:
                attention_mask = attention_mask[:, -max_cache_length:]
        position_ids = kwargs.get("position_ids")
        if attention_mask is not None and position_ids is None:
            position_ids = attention_mask.long().cumsum(-1) - 1
            position_ids.masked_fill_(attention_mask == 0, 1)
            if past_key_values:
                position_ids = position_ids[:, -input_ids.shape[1] :]
        return {
            "input_ids": input_ids,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "attention_mask": attention_mask,
            "pixel_values": pixel_values,
            "image_sizes": image_sizes,
        }
