"""Stand-in for Moondream's older generation: `encode_image` and `answer_question` only.

Defects kept: no `post_init`, an answer's length that can't be set (512), no streaming.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from .configuration_moondream import MoondreamConfig
from .modeling_phi import PhiForCausalLM

CROP, PATCH = 32, 8


class VisionEncoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.patches = nn.Linear(3 * PATCH**2, size)
        self.projection = nn.Linear(size, size)

    def forward(self, image):
        pixels = np.array(image.convert("RGB").resize((CROP, CROP)))[None].transpose(0, 3, 1, 2)
        weight = self.patches.weight
        x = torch.from_numpy(pixels.copy()).to(weight.device, weight.dtype) / 127.5 - 1
        x = F.unfold(x, PATCH, stride=PATCH).transpose(1, 2)
        return self.projection(F.gelu(self.patches(x)))


class Moondream(PreTrainedModel):
    config_class = MoondreamConfig

    def __init__(self, config):
        super().__init__(config)
        self.text_model = PhiForCausalLM(config.text_config)
        self.vision_encoder = VisionEncoder(config.text_config.hidden_size)

    @property
    def device(self):
        return self.text_model.device

    def get_input_embeddings(self):
        return self.text_model.get_input_embeddings()

    def encode_image(self, image):
        with torch.no_grad():
            return self.vision_encoder(image)

    def input_embeds(self, prompt, image_embeds, tokenizer):
        def embed(text):
            ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
            return self.get_input_embeddings()(ids.to(self.device))

        before, after = prompt.split("<image>")
        start = torch.tensor([[tokenizer.bos_token_id]], device=self.device)
        parts = [self.get_input_embeddings()(start)]
        parts += [embed(before)] if before else []
        return torch.cat([*parts, image_embeds.to(self.device), embed(after)], dim=1)

    def generate(self, image_embeds, prompt, tokenizer, max_new_tokens=128, **kwargs):
        settings = {
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "pad_token_id": tokenizer.bos_token_id,
            "max_new_tokens": max_new_tokens,
            **kwargs,
        }
        with torch.no_grad():
            embeds = self.input_embeds(prompt, image_embeds, tokenizer)
            out = self.text_model.generate(inputs_embeds=embeds, **settings)
        return tokenizer.batch_decode(out, skip_special_tokens=True)

    def answer_question(self, image_embeds, question, tokenizer, chat_history="", **kwargs):
        prompt = f"<image>\n\n{chat_history}Question: {question}\n\nAnswer:"
        answer = self.generate(image_embeds, prompt, tokenizer, max_new_tokens=512, **kwargs)[0]
        return answer.strip()
