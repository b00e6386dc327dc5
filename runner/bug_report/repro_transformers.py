"""The programs for the transformers engine: any model, and those with their own code."""

from __future__ import annotations

import json

from .repro_common import (
    call,
    first_question,
    images,
    listed,
    loading,
    model_lines,
    opened,
    turns,
)
from .run_record import RunRecord

TORCH_TYPES = ("float32", "bfloat16", "float16")


def program(case: RunRecord) -> list[str]:
    """The program for a model's family: its own where the family's code has to be called."""
    return FAMILIES.get(str(case.worker.get("family")), ordinary)(case)


def ordinary(case: RunRecord) -> list[str]:
    """Any image-text-to-text model."""
    images = {"images": "images"} if case.images else {}
    return [
        "import torch",
        *(["from PIL import Image"] if case.images else []),
        "from transformers import AutoModelForImageTextToText, AutoProcessor",
        "",
        *model_lines(case),
        processor(case),
        *torch_loading(case, "AutoModelForImageTextToText"),
        "",
        *(opened(case) if case.images else []),
        *messages(case),
        "text = processor.apply_chat_template(messages, add_generation_prompt=True)",
        call("inputs = processor", text="[text]", **images, return_tensors='"pt"'),
        *generating(case),
    ]


def messages(case: RunRecord) -> list[str]:
    """The turns as chat templates take them: slots for the images, then the text."""
    said = turns(case)
    first, found = first_question(said), []
    for number, turn in enumerate(said):
        slots = [{"type": "image"}] * len(images(case)) if number == first else []
        parts = [*slots, {"type": "text", "text": turn["text"]}]
        found.append({"role": turn["role"], "content": parts})
    return listed("messages", found)


def torch_loading(case: RunRecord, auto: str) -> list[str]:
    """The model, in the numbers and on the device that were used."""
    dtype = case.worker.get("dtype") or case.variant["dtype"]
    device = case.worker.get("device") or case.variant["device"]
    made = call(
        f"model = {auto}.from_pretrained",
        "MODEL",
        **loading(case),
        dtype=f"torch.{dtype}" if dtype in TORCH_TYPES else '"auto"',
        use_safetensors=None if case.variant["allow_pickle"] else "True",
        attn_implementation='"eager"' if case.worker.get("family") == "phi3_v" else None,
    )
    place = f".to({device!r})" if device != "auto" else ""
    return [made, f"model = model{place}.eval()"]


def generating(case: RunRecord) -> list[str]:
    """The answer, from `inputs` to its raw text."""
    given = case.generation
    options = {name: repr(value) for name, value in given.items() if name != "seed"}
    seed = [f"torch.manual_seed({given['seed']})"] if "seed" in given else []
    answer = call("ids = model.generate", "**inputs", **options)
    return [
        "inputs = inputs.to(model.device, dtype=model.dtype)",
        *seed,
        "with torch.inference_mode():",
        *(f"    {line}" for line in answer.splitlines()),
        'start = inputs["input_ids"].shape[1]',
        "print(processor.tokenizer.decode(ids[0, start:], skip_special_tokens=False))",
    ]


def processor(case: RunRecord) -> str:
    """The processor, with the settings that were given for it."""
    given = json.loads(case.variant["processor"])
    more = [f"**{given!r}"] if given else []
    return call("processor = AutoProcessor.from_pretrained", "MODEL", *more, **loading(case))


def phi3_v(case: RunRecord) -> list[str]:
    """Phi-3.5-vision's own code: numbered slots in plain text, eager attention."""
    slots = "".join(f"<|image_{n}|>\n" for n in range(1, len(images(case)) + 1))
    said = [{"role": turn["role"], "content": turn["text"]} for turn in turns(case)]
    first = said[first_question(said)]
    first["content"] = slots + first["content"]
    return [
        "import torch",
        "from PIL import Image",
        "from transformers import AutoModelForCausalLM, AutoProcessor",
        "",
        *model_lines(case),
        processor(case),
        *torch_loading(case, "AutoModelForCausalLM"),
        "",
        *opened(case),
        *listed("messages", said),
        "text = processor.tokenizer.apply_chat_template(",
        "    messages, tokenize=False, add_generation_prompt=True",
        ")",
        'inputs = processor(text, images or None, return_tensors="pt")',
        *generating(case),
    ]


def moondream(case: RunRecord) -> list[str]:
    """Moondream2's own code, in both generations of its interface."""
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
        *torch_loading(case, "AutoModelForCausalLM"),
        "",
        *opened(case),
        f"question = {question!r}",
        'if hasattr(model, "query"):',
        f'    print(model.query(images[0], question, settings={settings!r})["answer"])',
        "else:",
        "    options = " + call("dict", **loading(case)),
        "    tokenizer = AutoTokenizer.from_pretrained(MODEL, **options)",
        "    print(model.answer_question(model.encode_image(images[0]), question, tokenizer))",
    ]


FAMILIES = {"moondream2": moondream, "phi3_v": phi3_v}


# Where a family's own code has to be called, the writer is another one.
FAMILIES = {"moondream2": moondream, "phi3_v": phi3_v}
