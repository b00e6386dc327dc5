"""Stand-in for the rotary table, which the layers import: three imports from the first module."""

import torch

DIM, HEADS, CONTEXT = 64, 4, 512


def rotary_table():
    half = DIM // HEADS // 2
    frequencies = 1.0 / (10000.0 ** (torch.arange(half, dtype=torch.float32) / half))
    angles = torch.outer(torch.arange(CONTEXT, dtype=torch.float32), frequencies)
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def rotate(x, freqs_cis, pos_ids):
    cos, sin = freqs_cis[pos_ids].to(x.dtype).unbind(-1)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
