"""The programs for the transformers engine: any model, and those with their own code."""

from __future__ import annotations

from ..text.load_code import call, generate_lines
from .repro_common import (
    first_question,
    images,
    listed,
    load_code,
    model_lines,
    opened,
    turns,
)
from .run_record import RunRecord

# Special tokens are kept: what was generated is the evidence.
DECODE = "processor.tokenizer.decode(new, skip_special_tokens=False)"


def transformers_program(case: RunRecord) -> list[str]:
    """The program for a model's family: its own where the family's code has to be called."""
    return FAMILIES.get(str(case.worker.get("family")), ordinary)(case)


def ordinary(case: RunRecord) -> list[str]:
    """Any image-text-to-text model."""
    load = load_code(case, "AutoModelForImageTextToText")
    images = {"images": "images"} if case.images else {}
    return [
        "import torch",
        *(["from PIL import Image"] if case.images else []),
        "from transformers import AutoModelForImageTextToText, AutoProcessor",
        "",
        *model_lines(case),
        *load.processor_lines(),
        *load.model_lines(),
        "",
        *(opened(case) if case.images else []),
        *messages(case),
        "text = processor.apply_chat_template(messages, add_generation_prompt=True)",
        call("inputs = processor", text="[text]", **images, return_tensors='"pt"'),
        *generate_lines(case.generation, DECODE),
    ]


def messages(case: RunRecord) -> list[str]:
    """The turns as chat templates take them: slots for the images, then the text."""
    requested = turns(case)
    first, found = first_question(requested), []
    for number, turn in enumerate(requested):
        slots = [{"type": "image"}] * len(images(case)) if number == first else []
        parts = [*slots, {"type": "text", "text": turn["text"]}]
        found.append({"role": turn["role"], "content": parts})
    return listed("messages", found)


def phi3_v(case: RunRecord) -> list[str]:
    """Phi-3.5-vision's own code: numbered slots in plain text, eager attention."""
    load = load_code(case, "AutoModelForCausalLM", attention="eager")
    slots = "".join(f"<|image_{n}|>\n" for n in range(1, len(images(case)) + 1))
    requested = [{"role": turn["role"], "content": turn["text"]} for turn in turns(case)]
    first = requested[first_question(requested)]
    first["content"] = slots + first["content"]
    return [
        "import torch",
        "from PIL import Image",
        "from transformers import AutoModelForCausalLM, AutoProcessor",
        "",
        *model_lines(case),
        *load.processor_lines(),
        *load.model_lines(),
        "",
        *opened(case),
        *listed("messages", requested),
        "text = processor.tokenizer.apply_chat_template(",
        "    messages, tokenize=False, add_generation_prompt=True",
        ")",
        'inputs = processor(text, images or None, return_tensors="pt")',
        *generate_lines(case.generation, DECODE),
    ]


def moondream(case: RunRecord) -> list[str]:
    """Moondream2's own code, in both generations of its interface."""
    load = load_code(case, "AutoModelForCausalLM")
    question = turns(case)[-1]["text"]
    names = {"max_new_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p"}
    settings = {names[key]: value for key, value in case.generation.items() if key in names}
    if not case.generation.get("do_sample"):
        settings["temperature"] = 0
    return [
        "import torch",
        "from PIL import Image",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        *model_lines(case),
        *load.model_lines(),
        "",
        *opened(case),
        f"question = {question!r}",
        'if hasattr(model, "query"):',
        f'    print(model.query(images[0], question, settings={settings!r})["answer"])',
        "else:",
        "    options = " + call("dict", **load.options()),
        "    tokenizer = AutoTokenizer.from_pretrained(MODEL, **options)",
        "    print(model.answer_question(model.encode_image(images[0]), question, tokenizer))",
    ]


FAMILIES = {"moondream2": moondream, "phi3_v": phi3_v}


# Families whose own code has to be called have their own writer.
FAMILIES = {"moondream2": moondream, "phi3_v": phi3_v}
