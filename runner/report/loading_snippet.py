"""The few lines of code that load a model as it was loaded, where a few lines can.

Only for models that transformers loads by itself, without a note: what our families do besides
(code of the model's own, parts built by hand) is not claimed to fit in a snippet.
"""

from __future__ import annotations

import json
from typing import Any

from schemas.engines import engines

from .data import LoadAttempt, Record, ReportData, Worker

# Families whose models transformers loads and asks in its ordinary way.
ORDINARY = {"generic", "smolvlm", "llava", "qwen2_5_vl", "gemma3", "internvl"}
CODE = """\
import torch
from PIL import Image
from transformers import {model_class}, {processor_class}

where = {where}
{revision}processor = {processor_class}.from_pretrained(where{pinned}{processor})
model = {model_class}.from_pretrained(where{pinned}, dtype=torch.{dtype})
model = model.to({device}).eval()

image = Image.open("image.jpg").convert("RGB")  # upright, at most {side}
content = [{{"type": "image", "image": image}}, {{"type": "text", "text": {prompt}}}]
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}],
    add_generation_prompt=True,
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
).to(model.device, dtype=model.dtype)
with torch.inference_mode():
    ids = model.generate(**inputs, {generation})
new = ids[0, inputs["input_ids"].shape[1] :]
print(processor.decode(new, skip_special_tokens=True))
"""


def snippet(
    variant: LoadAttempt, worker: Worker, family: Record, facts: ReportData
) -> tuple[str | None, str | None]:
    """The code and None, or None and why there is none."""
    row = worker.row
    info = engines().get(row["engine"])
    if info is None or not info.writes_loading_code:
        return None, f"engine {row['engine']} is driven through interfaces of its own"
    if variant.row["trust_remote_code"] or family.get("remote_code"):
        return None, "the model brings code of its own, and docs/models.md tells what it needs"
    if family.get("name") not in ORDINARY:
        return None, "docs/models.md tells what this family needs"
    if notes := json.loads(row["notes"] or "[]"):
        return None, f"it was not loaded in the ordinary way ({'; '.join(notes)})"
    asked = (q.prompt["text"] for card in facts.cards if card.images for q in card.questions)
    side = (facts.spec.get("image") or {}).get("max_side")
    commit = worker.found.get("commit_hash") or variant.asked["revision"]
    generation = json.loads(variant.row["generation"])
    given = {k: v for k, v in generation.items() if v is not None and k != "seed"}
    return CODE.format(
        model_class=row["model_class"],
        processor_class=row["processor_class"],
        where=quoted(variant.asked["location"]),
        revision=f"revision = {quoted(commit)}\n" if commit else "",
        pinned=", revision=revision" if commit else "",
        processor=keywords(json.loads(variant.row["processor"]), before=", "),
        dtype=row["dtype"],
        device=quoted(row["device"]),
        side=f"{side} px long" if side else "as large as you like",
        prompt=quoted(next(asked, "Describe this image.")),
        generation=keywords(given),
    ), None


def quoted(text: str) -> str:
    """A text as Python writes it: on one line, and whatever could reorder that line escaped."""
    plain = text.isprintable() and not set(text) & set('"\\')
    return f'"{text}"' if plain else repr(text)


def keywords(given: dict[str, Any], before: str = "") -> str:
    """`max_new_tokens=100, do_sample=False`."""
    words = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return before + words if words else ""
