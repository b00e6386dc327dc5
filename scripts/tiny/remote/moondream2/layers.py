"""Stand-in for the text model's layers, which the model's module imports."""

from torch import nn
from torch.nn import functional as F

from .rope import DIM, HEADS, rotate


def build_block(dtype):
    return nn.ModuleDict(
        {
            "ln": nn.LayerNorm(DIM, dtype=dtype),
            "qkv": nn.Linear(DIM, 3 * DIM, dtype=dtype),
            "proj": nn.Linear(DIM, DIM, dtype=dtype),
            "fc1": nn.Linear(DIM, 2 * DIM, dtype=dtype),
            "fc2": nn.Linear(2 * DIM, DIM, dtype=dtype),
        }
    )


def text_decoder(x, text, mask, pos_ids):
    for block in text.blocks:
        h = block.ln(x)
        q, k, v = (
            part.view(1, -1, HEADS, DIM // HEADS).transpose(1, 2)
            for part in block.qkv(h).chunk(3, dim=-1)
        )
        q, k = rotate(q, text.freqs_cis, pos_ids), rotate(k, text.freqs_cis, pos_ids)
        k, v = block.kv_cache.update(pos_ids, k, v)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = attended.transpose(1, 2).reshape(1, -1, DIM)
        x = x + block.proj(attended) + block.fc2(F.gelu(block.fc1(h)))
    return x


def lm_head(hidden, text):
    return text.lm_head(text.post_ln(hidden[:, -1, :]))
