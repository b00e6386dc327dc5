"""The few lines of code that load a model as it was loaded, where a few lines can.

Only for models that transformers loads by itself, without a note: what our families do besides
(code of the model's own, parts built by hand) is not claimed to fit in a snippet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from schemas.engines import engines

from ..text.load_code import LoadCode, generate_lines, quoted
from .data import LoadAttempt, Record, ReportData, Worker

# Families whose models transformers loads and asks in its ordinary way.
ORDINARY = {"generic", "smolvlm", "llava", "qwen2_5_vl", "gemma3", "internvl"}
INPUTS = """\
inputs = processor.apply_chat_template(
    [{"role": "user", "content": content}],
    add_generation_prompt=True,
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
)""".splitlines()
DECODE = "processor.decode(new, skip_special_tokens=True)"


def snippet(
    variant: LoadAttempt, worker: Worker, family: Record, facts: ReportData
) -> tuple[str | None, str | None]:
    """The code and None, or None and why there is none."""
    row = worker.row
    info = engines().get(row["engine"])
    if info is None or not info.writes_loading_code:
        return None, f"engine {row['engine']} has its own interface"
    if variant.spec.trust_remote_code or family.get("remote_code"):
        return None, "the model has its own code; `vlmsweep help models` lists its needs"
    if family.get("name") not in ORDINARY:
        return None, "`vlmsweep help models` lists the needs of this family"
    if notes := json.loads(row["notes"] or "[]"):
        return None, f"it was not loaded in the ordinary way ({'; '.join(notes)})"
    return "\n".join(code_lines(variant, worker, facts)) + "\n", None


def code_lines(variant: LoadAttempt, worker: Worker, facts: ReportData) -> Iterator[str]:
    """The code, by the classes, numbers and settings that were used."""
    row = worker.row
    load = LoadCode(
        model=quoted(variant.asked["location"]),
        model_class=row["model_class"],
        processor_class=row["processor_class"],
        revision=worker.found.get("commit_hash") or variant.asked["revision"],
        dtype=row["dtype"],
        device=row["device"],
        allow_pickle=variant.spec.allow_pickle,
        processor=variant.spec.processor,
    )
    prompts = (q.prompt["text"] for card in facts.cards if card.images for q in card.questions)
    side = (facts.spec.get("image") or {}).get("max_side")
    largest = f"{side} px long" if side else "as large as you like"
    prompt = quoted(next(prompts, "Describe this image."))
    generation = json.loads(variant.row["generation"])
    yield "import torch"
    yield "from PIL import Image"
    yield f"from transformers import {row['model_class']}, {row['processor_class']}"
    yield ""
    yield from load.processor_lines()
    yield from load.model_lines()
    yield ""
    yield f'image = Image.open("image.jpg").convert("RGB")  # upright, at most {largest}'
    yield f'content = [{{"type": "image", "image": image}}, {{"type": "text", "text": {prompt}}}]'
    yield from INPUTS
    given = {name: value for name, value in generation.items() if value is not None}
    yield from generate_lines(given, DECODE)
