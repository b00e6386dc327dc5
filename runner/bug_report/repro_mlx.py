"""The program for the mlx engine."""

from __future__ import annotations

from typing import Any

from ..text.load_code import call
from .repro_common import images, load_code, model_lines, turns
from .run_record import RunRecord

TYPES = ("float32", "bfloat16", "float16")


def mlx_program(case: RunRecord) -> list[str]:
    """Any model that mlx-vlm knows."""
    messages = turns(case)
    prompt: Any = messages[0]["text"] if len(messages) == 1 else None
    if prompt is None:
        prompt = [{"role": turn["role"], "content": turn["text"]} for turn in messages]
    same = ("temperature", "top_p", "top_k", "repetition_penalty")
    settings = {name: repr(case.generation[name]) for name in same if name in case.generation}
    settings["max_tokens"] = repr(case.generation["max_new_tokens"])
    if not case.generation.get("do_sample"):
        settings["temperature"] = "0.0"
    dtype = case.worker.get("dtype")
    cpu = case.worker.get("device") == "cpu"
    shown = ", ".join(f'"{name}"' for name in images(case))
    image = f"[{shown}]" if shown else None
    return [
        "import mlx.core as mx",
        "from mlx_vlm import generate, load",
        "from mlx_vlm.prompt_utils import apply_chat_template",
        "",
        *(["mx.set_default_device(mx.cpu)"] if cpu else []),
        *([f"mx.random.seed({case.generation['seed']})"] if "seed" in case.generation else []),
        *model_lines(case),
        call("model, processor = load", "MODEL", **load_code(case, "").options()),
        *([f"model.set_dtype(mx.{dtype})"] if dtype in TYPES else []),
        f"prompt = {prompt!r}",
        "text = apply_chat_template(",
        f"    processor, model.config, prompt, num_images={len(images(case))}",
        ")",
        call("answer = generate", "model, processor, text", image=image, **settings),
        "print(answer.text)",
    ]
