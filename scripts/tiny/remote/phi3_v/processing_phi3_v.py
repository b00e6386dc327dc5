"""Stand-in for Phi-3.5-vision's processor: one text, `<|image_N|>` slots, negative image ids."""

import re

import numpy as np
import torch
import transformers
from transformers.feature_extraction_utils import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.processing_utils import ProcessorMixin

CROP = 16


class Phi3VImageProcessor(BaseImageProcessor):
    model_input_names = ["pixel_values"]  # noqa: RUF012

    def __init__(self, num_crops=4, num_img_tokens=4, **kwargs):
        super().__init__(**kwargs)
        self.num_crops, self.num_img_tokens = num_crops, num_img_tokens

    def preprocess(self, images, return_tensors=None):
        crops, sizes, counts = [], [], []
        for image in images:
            width, height = image.size
            across = min(self.num_crops, max(1, round(2 * width / height)))
            down = max(1, self.num_crops // across // 2)
            rgb = image.convert("RGB")
            parts = [to_tensor(rgb.resize((CROP, CROP)))]
            whole = to_tensor(rgb.resize((across * CROP, down * CROP)))
            whole = whole.reshape(3, down, CROP, across, CROP).permute(1, 3, 0, 2, 4)
            parts += list(whole.reshape(-1, 3, CROP, CROP))
            parts += [torch.zeros_like(parts[0])] * (self.num_crops + 1 - len(parts))
            crops.append(torch.stack(parts))
            sizes.append([down * CROP, across * CROP])
            counts.append((1 + across * down) * self.num_img_tokens)
        data = {"pixel_values": torch.stack(crops), "image_sizes": torch.tensor(sizes)}
        return BatchFeature({**data, "num_img_tokens": counts}, tensor_type=None)


def to_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


# So that the processor's base class finds it by its name.
transformers.Phi3VImageProcessor = Phi3VImageProcessor


class Phi3VProcessor(ProcessorMixin):
    attributes = ["image_processor", "tokenizer"]  # noqa: RUF012
    image_processor_class = "Phi3VImageProcessor"
    tokenizer_class = ("LlamaTokenizer", "LlamaTokenizerFast")

    def __init__(self, image_processor, tokenizer):
        self.image_processor = image_processor
        self.tokenizer = tokenizer

    def __call__(self, text, images=None, padding=False, return_tensors="pt"):
        if images is None:
            return BatchFeature(dict(self.tokenizer(text, return_tensors=return_tensors)))
        pixels = self.image_processor(images, return_tensors=return_tensors)
        slot = r"<\|image_\d+\|>"
        numbers = [int(re.sub(r"\D", "", found)) for found in re.findall(slot, text)]
        assert sorted(set(numbers)) == list(range(1, len(images) + 1)), (
            f"total images must be the same as the number of image tags, got {numbers}"
        )
        chunks = [self.tokenizer(part).input_ids for part in re.split(slot, text)]
        ids = list(chunks[0])
        for number, chunk in zip(numbers, chunks[1:], strict=True):
            ids += [-number] * pixels["num_img_tokens"][number - 1] + list(chunk)
        input_ids = torch.tensor([ids], dtype=torch.long)
        data = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
        return BatchFeature(
            {
                **data,
                "pixel_values": pixels["pixel_values"],
                "image_sizes": pixels["image_sizes"],
            }
        )
