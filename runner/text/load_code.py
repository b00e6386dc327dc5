"""Writes the Python code that loads a model with transformers and generates an answer.

The one generator for bug reports and for the loading guide. Every stored value is written as a
Python literal: nothing in a history becomes code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TORCH_TYPES = ("float32", "bfloat16", "float16")
LINE = 96  # characters of a call that stays on one line


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCode:
    """Arguments of a load. `model` is a Python expression, such as the name of a constant.

    A `dtype` that torch does not have is written as "auto", as is None. `attention` and `revision`
    are left out if they are None.
    """

    model: str
    model_class: str
    processor_class: str = "AutoProcessor"
    revision: str | None = None
    dtype: str | None = None
    device: str | None = None
    attention: str | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    processor: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, str | None]:
        """Options that select the files to load, and allow or forbid their Python code."""
        return {
            "revision": quoted(self.revision) if self.revision else None,
            "trust_remote_code": "True" if self.trust_remote_code else None,
        }

    def processor_lines(self) -> list[str]:
        """The processor, with the settings that were given for it."""
        settings = [f"**{dict(self.processor)!r}"] if self.processor else []
        name = f"processor = {self.processor_class}.from_pretrained"
        return [call(name, self.model, *settings, **self.options())]

    def model_lines(self) -> list[str]:
        """The model, in the numbers and on the device that were used."""
        loaded = call(
            f"model = {self.model_class}.from_pretrained",
            self.model,
            **self.options(),
            dtype=f"torch.{self.dtype}" if self.dtype in TORCH_TYPES else '"auto"',
            use_safetensors=None if self.allow_pickle else "True",
            attn_implementation=quoted(self.attention) if self.attention else None,
        )
        device = f".to({quoted(self.device)})" if self.device not in (None, "auto") else ""
        return [loaded, f"model = model{device}.eval()"]


def generate_lines(generation: Mapping[str, Any], decode: str) -> list[str]:
    """The answer, from `inputs` to its text; `decode` is the expression that decodes `new`."""
    options = {name: repr(value) for name, value in generation.items() if name != "seed"}
    answer = call("ids = model.generate", "**inputs", **options)
    seed = generation.get("seed")
    return [
        "inputs = inputs.to(model.device, dtype=model.dtype)",
        *([f"torch.manual_seed({seed!r})"] if seed is not None else []),
        "with torch.inference_mode():",
        *(f"    {line}" for line in answer.splitlines()),
        'new = ids[0, inputs["input_ids"].shape[1] :]',
        f"print({decode})",
    ]


def call(name: str, *first: str, **options: str | None) -> str:
    """A call's text; options that are None are left out."""
    arguments = [*first, *(f"{key}={value}" for key, value in options.items() if value is not None)]
    text = f"{name}({', '.join(arguments)})"
    if len(text) <= LINE:
        return text
    inside = "".join(f"    {part},\n" for part in arguments)
    return f"{name}(\n{inside})"


def quoted(text: str | None) -> str:
    """A text as Python writes it: on one line, and whatever could reorder that line escaped."""
    plain = text is not None and text.isprintable() and not set(text) & set('"\\')
    return f'"{text}"' if plain else repr(text)
