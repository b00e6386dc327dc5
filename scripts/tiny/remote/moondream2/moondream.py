"""Stand-in for Moondream2's model (2025 revisions): its interface, at toy size.

Defects kept: buffers that no file holds, a tokenizer from a second repository, crops that are
always bfloat16, KeyError 'variant' for a bare image with settings, a stream of words.
"""

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F

from .layers import build_block, lm_head, text_decoder
from .rope import CONTEXT, DIM, HEADS, rotary_table

LAYERS, VOCABULARY = 2, 512
CROP, PATCH = 32, 8
PATCHES = (CROP // PATCH) ** 2
BOS = EOS = 0
ANSWER = 3
PREFIX, SUFFIX = [1, 2], [3]


@dataclass(frozen=True)
class EncodedImage:
    pos: int
    caches: list


class KVCache(nn.Module):
    def __init__(self, device, dtype):
        super().__init__()
        shape = (1, HEADS, CONTEXT, DIM // HEADS)
        self.register_buffer("k_cache", torch.zeros(*shape, device=device, dtype=dtype))
        self.register_buffer("v_cache", torch.zeros(*shape, device=device, dtype=dtype))

    def update(self, pos_ids, k, v):
        self.k_cache[:, :, pos_ids, :] = k
        self.v_cache[:, :, pos_ids, :] = v
        return self.k_cache, self.v_cache


def prepare_crops(image, device):
    pixels = np.array(image.convert("RGB").resize((CROP, CROP)))[None].transpose(0, 3, 1, 2)
    crops = torch.from_numpy(pixels.copy()).to(device=device, dtype=torch.bfloat16)
    return crops.div_(255.0).sub_(0.5).div_(0.5)


class MoondreamModel(nn.Module):
    def __init__(self, dtype=torch.bfloat16, setup_caches=True):
        super().__init__()
        self.tokenizer = Tokenizer.from_pretrained("moondream/starmie-v1")
        self.vision = nn.ModuleDict(
            {
                "patch_emb": nn.Linear(3 * PATCH**2, DIM, dtype=dtype),
                "proj": nn.Linear(DIM, DIM, dtype=dtype),
            }
        )
        self.vision.pos_emb = nn.Parameter(torch.zeros(1, PATCHES, DIM, dtype=dtype))
        self.text = nn.ModuleDict(
            {
                "blocks": nn.ModuleList([build_block(dtype) for _ in range(LAYERS)]),
                "post_ln": nn.LayerNorm(DIM, dtype=dtype),
                "lm_head": nn.Linear(DIM, VOCABULARY, dtype=dtype),
            }
        )
        self.text.wte = nn.Parameter(torch.empty(VOCABULARY, DIM, dtype=dtype))
        self.text.register_buffer("freqs_cis", rotary_table(), persistent=False)
        mask = torch.tril(torch.ones(1, 1, CONTEXT, CONTEXT, dtype=torch.bool))
        mask[..., : 1 + PATCHES, : 1 + PATCHES] = 1
        self.register_buffer("attn_mask", mask, persistent=False)
        if setup_caches:
            self._setup_caches()

    def _setup_caches(self):
        for block in self.text.blocks:
            block.kv_cache = KVCache(self.device, self.vision.pos_emb.dtype)

    @property
    def device(self):
        return self.vision.pos_emb.device

    def _vis_enc(self, x):
        patches = F.unfold(x, PATCH, stride=PATCH).transpose(1, 2)
        return self.vision.patch_emb(patches) + self.vision.pos_emb

    def _prefill(self, x, attn_mask, pos_ids):
        return text_decoder(x, self.text, attn_mask, pos_ids)

    def _decode_one_tok(self, x, attn_mask, pos_ids):
        hidden = text_decoder(x, self.text, attn_mask, pos_ids)
        return lm_head(hidden, self.text), hidden

    def encode_image(self, image, settings=None):
        if isinstance(image, EncodedImage):
            return image
        if settings is not None and settings["variant"] is not None:
            raise NotImplementedError("no variants in this stand-in")
        with torch.inference_mode():
            seen = self.vision.proj(F.gelu(self._vis_enc(prepare_crops(image, self.device))))
            begin = F.embedding(torch.tensor([[BOS]], device=self.device), self.text.wte)
            x = torch.cat([begin, seen], dim=1)
            pos = x.size(1)
            self._prefill(x, self.attn_mask[:, :, :pos, :], torch.arange(pos))
        return EncodedImage(
            pos=pos,
            caches=[
                (b.kv_cache.k_cache[:, :, :pos].clone(), b.kv_cache.v_cache[:, :, :pos].clone())
                for b in self.text.blocks
            ],
        )

    def load_encoded_image(self, encoded):
        for block, (k, v) in zip(self.text.blocks, encoded.caches, strict=True):
            block.kv_cache.k_cache[:, :, : k.size(2), :] = k
            block.kv_cache.v_cache[:, :, : v.size(2), :] = v

    def _pick(self, logits, temperature):
        if temperature == 0:
            return torch.argmax(logits, dim=-1).unsqueeze(1)
        return torch.multinomial(torch.softmax(logits / temperature, dim=-1), num_samples=1)

    def _prefill_prompt(self, prompt_tokens, pos, temperature, top_p, attn_mask=None):
        with torch.inference_mode():
            x = F.embedding(prompt_tokens, self.text.wte)
            mask = (self.attn_mask if attn_mask is None else attn_mask)[:, :, pos : pos + x.size(1)]
            hidden = self._prefill(x, mask, torch.arange(pos, pos + x.size(1)))
            logits = lm_head(hidden, self.text)
        return logits, hidden, self._pick(logits, temperature), pos + x.size(1)

    def _generate_answer(self, prompt_tokens, pos, settings, attn_mask=None):
        settings = settings or {}
        most, temperature = settings.get("max_tokens", 64), settings.get("temperature", 0.5)
        top_p = settings.get("top_p", 0.3)
        _, _, token, pos = self._prefill_prompt(prompt_tokens, pos, temperature, top_p, attn_mask)
        mask = torch.zeros(1, 1, CONTEXT, device=self.device, dtype=torch.bool)
        mask[:, :, :pos] = 1
        ids, printed, made = [], 0, 0
        while token.item() != EOS and made < most:
            ids.append(token.item())
            text = self.tokenizer.decode(ids)
            space = text.rfind(" ", printed)
            if space >= printed:
                yield text[printed : space + 1]
                printed = space + 1
            with torch.inference_mode():
                mask[:, :, pos] = 1
                x = F.embedding(token, self.text.wte)
                logits, _ = self._decode_one_tok(x, mask, torch.tensor([pos]))
                logits[:, ANSWER] = float("-inf")
                pos += 1
                token = self._pick(logits, temperature)
                made += 1
        if self.tokenizer.decode(ids)[printed:]:
            yield self.tokenizer.decode(ids)[printed:]

    def query(self, image=None, question=None, reasoning=True, stream=False, settings=None):
        if question is None:
            raise ValueError("question must be provided.")
        mask, begin, pos = self.attn_mask, [], 0
        if image is None:
            self._setup_caches()
            begin = [BOS]
            mask = torch.tril(torch.ones(1, 1, CONTEXT, CONTEXT, dtype=torch.bool))
        else:
            image = self.encode_image(image, settings)
            self.load_encoded_image(image)
            pos = image.pos
        tokens = begin + PREFIX + self.tokenizer.encode(question).ids + SUFFIX
        if reasoning:
            tokens += [4]  # another prompt, and so another answer
        prompt = torch.tensor([tokens], device=self.device)
        words = self._generate_answer(prompt, pos, settings, attn_mask=mask)
        return {"answer": words if stream else "".join(words)}

    def caption(self, image, length="normal", stream=False, settings=None):
        return {"caption": self.query(image, length, False, stream, settings)["answer"]}
