"""Stand-in for the text model inside Moondream's older generation (transformers 4.36 style).

Defects kept: rotary tables that no file holds, old Cache words, no GenerationMixin, a
`pad_token_id` that the configuration does not set, `rope_scaling` read as it was given.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_moondream import PhiConfig


class PhiRotaryEmbedding(nn.Module):
    def __init__(self, dim, places):
        super().__init__()
        inverse = 1.0 / (10000.0 ** (torch.arange(0, dim, 2).float() / dim))
        self.register_buffer("inv_freq", inverse, persistent=False)
        angles = torch.outer(torch.arange(places).float(), inverse)
        angles = torch.cat([angles, angles], dim=-1)
        self.register_buffer("cos_cached", angles.cos(), persistent=False)
        self.register_buffer("sin_cached", angles.sin(), persistent=False)

    def forward(self, x, position_ids):
        a, b = x.chunk(2, dim=-1)
        cos = self.cos_cached[position_ids].unsqueeze(1).to(x.dtype)
        sin = self.sin_cached[position_ids].unsqueeze(1).to(x.dtype)
        return x * cos + torch.cat([-b, a], dim=-1) * sin


class PhiLayer(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        size = config.hidden_size
        if config.rope_scaling is not None:
            raise ValueError(f"Unknown RoPE scaling type {config.rope_scaling['type']}")
        self.index, self.heads = index, config.num_attention_heads
        self.rotary_emb = PhiRotaryEmbedding(size // self.heads, config.max_position_embeddings)
        self.ln, self.Wqkv = nn.LayerNorm(size), nn.Linear(size, 3 * size)
        self.out_proj, self.fc = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x, position_ids, cache):
        h = self.ln(x)
        q, k, v = (
            part.view(*part.shape[:2], self.heads, -1).transpose(1, 2)
            for part in self.Wqkv(h).chunk(3, dim=-1)
        )
        q, k = self.rotary_emb(q, position_ids), self.rotary_emb(k, position_ids)
        before = cache.get_usable_length(k.shape[-2], self.index)
        k, v = cache.update(k, v, self.index)
        new = q.shape[-2]
        mask = torch.ones(new, before + new, dtype=torch.bool, device=x.device).tril(before)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return x + self.out_proj(attended.transpose(1, 2).reshape(x.shape)) + F.gelu(self.fc(h))


class PhiForCausalLM(PreTrainedModel):
    config_class = PhiConfig
    base_model_prefix = "transformer"

    def __init__(self, config):
        super().__init__(config)
        self.embd = nn.Embedding(
            config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id
        )
        self.h = nn.ModuleList([PhiLayer(config, n) for n in range(config.num_hidden_layers)])
        self.ln = nn.LayerNorm(config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.embd

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        return_dict=None,
        **kwargs,
    ):
        x = self.embd(input_ids) if inputs_embeds is None else inputs_embeds
        legacy = not isinstance(past_key_values, Cache)
        cache = DynamicCache.from_legacy_cache(past_key_values) if legacy else past_key_values
        past = cache.get_usable_length(x.shape[1])
        if position_ids is None:
            position_ids = torch.arange(past, past + x.shape[1], device=x.device).unsqueeze(0)
        position_ids = position_ids.view(-1, x.shape[1])
        for layer in self.h:
            x = layer(x, position_ids, cache)
        logits = self.lm_head(self.ln(x)).float()
        cache = cache.to_legacy_cache() if legacy else cache
        return CausalLMOutputWithPast(logits=logits, past_key_values=cache)

    def prepare_inputs_for_generation(
        self, input_ids, past_key_values=None, inputs_embeds=None, attention_mask=None, **kwargs
    ):
        if past_key_values is not None:
            past = past_key_values.seen_tokens
            if attention_mask is not None and attention_mask.shape[1] > input_ids.shape[1]:
                input_ids = input_ids[:, -(attention_mask.shape[1] - past) :]
            elif past < input_ids.shape[1]:
                input_ids = input_ids[:, past:]
        first = inputs_embeds is not None and past_key_values is None
        inputs = {"inputs_embeds": inputs_embeds} if first else {"input_ids": input_ids}
        return {
            **inputs,
            "position_ids": kwargs.get("position_ids"),
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "attention_mask": attention_mask,
        }
