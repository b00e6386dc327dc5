"""From turns to a model's inputs: template, images, counts.

The prompt is built by the model's own template with its image slots, never by this module: a bare
prompt makes some models answer without looking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from schemas.commands import Turn

from ...error_classes import WorkerFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of `generate()` (`tensors`, batch of one) and their counts."""

    tensors: dict[str, Any]
    input_tokens: int
    image_tokens: int | None
    tiles: int | None
    notes: list[str] = field(default_factory=list)


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The turns as templates want them: a slot for each image and video, then the text."""
    return [
        {
            "role": turn.role,
            "content": [*slots(turn), {"type": "text", "text": turn.text}],
        }
        for turn in turns
    ]


def slots(turn: Turn) -> list[dict[str, str]]:
    """A slot for each image and video of a turn, in the order they were given."""
    found = [{"type": "image"} for _ in turn.images]
    for video in reversed(turn.videos):
        found.insert(video.before, {"type": "video"})
    return found


def render(processor: Any, tokenizer: Any, turns: Sequence[Turn], generation: bool = True) -> str:
    """The prompt's text by the processor's template, else the tokenizer's.

    Raises `bad_template` if there is none, or it cannot take a list of parts.
    """
    holder = processor if getattr(processor, "chat_template", None) else tokenizer
    if not getattr(holder, "chat_template", None):
        raise WorkerFailure(
            "bad_template",
            "The checkpoint has no chat template",
            "Use an instruction-tuned version of {model}, or add its chat_template.jinja.",
        )
    with template_errors():
        text = holder.apply_chat_template(
            messages(turns), add_generation_prompt=generation, tokenize=False
        )
    if "'type': 'text'" in text:  # the list of parts was printed as if it were a text
        raise WorkerFailure(
            "bad_template",
            "The chat template knows no images, only plain text",
            "Use a version of {model} whose chat template has image slots.",
        )
    return str(text)


@contextmanager
def template_errors() -> Iterator[None]:
    """Turn whatever a chat template raises into `bad_template`; a template is a program.

    Jinja's own errors have that class already; a missing package or memory is not its fault.
    """
    try:
        yield
    except (WorkerFailure, ImportError, MemoryError):
        raise
    except Exception as error:
        if any(kind.__module__.partition(".")[0] == "jinja2" for kind in type(error).__mro__):
            raise
        hint = "Fix the chat template of {model}, or use another revision."
        if isinstance(error, TypeError | AttributeError):  # "a" + content, content.strip()
            hint = (
                "The template may expect plain text where images make a list of parts: use a "
                "version of {model} whose chat template has image slots."
            )
        message = f"The chat template failed: {type(error).__name__}: {error}"
        raise WorkerFailure("bad_template", message, hint) from error


def open_images(turns: Sequence[Turn]) -> list[Image.Image]:
    """All images of the conversation in order, RGB. Raises `bad_image`."""
    return open_files(path for turn in turns for path in turn.images)


def open_files(paths: Iterable[str]) -> list[Image.Image]:
    """Prepared images (or frames) in order, RGB. Raises `bad_image`."""
    images = []
    for path in paths:
        try:
            with Image.open(path) as file:
                images.append(file.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            hint = f"Run the sweep again, which prepares {path} again, or leave that image out."
            raise WorkerFailure("bad_image", f"{path} can't be read: {error}", hint) from error
    return images


def doubles_bos(tokenizer: Any, text: str) -> bool:
    """Whether the tokenizer would put a second start token before the template's own."""
    bos = getattr(tokenizer, "bos_token", None)
    if not bos or not text.startswith(bos):
        return False
    ids = tokenizer(text[: len(bos)])["input_ids"]
    return bool(list(ids[:2]) == [tokenizer.bos_token_id] * 2)


def has_second_bos(tokenizer: Any, text: str, ids: Sequence[int]) -> bool:
    """Whether the ids of a text begin with two start tokens, where the text has only one."""
    bos = getattr(tokenizer, "bos_token", None)
    if not bos or not text.startswith(bos) or text.startswith(bos * 2):
        return False
    return list(ids[:2]) == [tokenizer.bos_token_id] * 2


def image_token_id(model: Any, processor: Any) -> int | None:
    """The input id that represents (a part of) an image, or None."""
    for owner, name in (
        # The model's word before the processor's, which may be that of a slot (Gemma 3's is).
        (model.config, "image_token_id"),
        (model.config, "image_token_index"),
        (processor, "image_token_id"),
    ):
        value = getattr(owner, name, None)
        if isinstance(value, int):
            return value
    return None


def process(processor: Any, token: str | None, options: dict[str, Any]) -> Any:
    """Call the processor; raises `image_ignored` where it found images but no slot for them.

    Some processors refuse such a prompt themselves, others let it through (and the meter
    refuses it). `token` is the text of the model's image slot, where known.
    """
    try:
        return processor(**options)
    except ValueError as error:
        if "images" not in options or token is None or token in options["text"][0]:
            raise
        raise WorkerFailure(
            "image_ignored",
            f"The chat template left no slot for the images: {error}",
            "Check that the chat template of {model} has image slots.",
        ) from error


def check_texts(turns: Sequence[Turn], token: str | None) -> None:
    """Raises `unsupported` where a prompt's own text would be taken for an image."""
    if token and any(token in turn.text for turn in turns if turn.role == "user"):
        raise WorkerFailure(
            "unsupported",
            f"The prompt's text contains {token!r}, which this model takes for an image",
            "Give images as images, and write the prompt without that token.",
        )


def count_tiles(tensors: Mapping[str, Any], images: int) -> int | None:
    """The number of tiles the images were cut into; None if the inputs do not show it.

    `pixel_values` is (1, tiles, 3, h, w) or (images, tiles, 3, h, w) where images are cut,
    (images, 3, h, w) where they are not. Of several images the smaller ones are padded with
    empty tiles; `pixel_attention_mask` (batch, tiles, h, w), if present, marks those.
    """
    pixels, mask = tensors.get("pixel_values"), tensors.get("pixel_attention_mask")
    if pixels is None or not images:
        return None
    shape = tuple(pixels.shape)
    if mask is not None and len(shape) == 5 and len(mask.shape) == 4:
        return int(mask.flatten(2).any(-1).sum())
    if len(shape) == 5:
        return int(shape[1]) if shape[0] == 1 else None
    return int(shape[0]) if len(shape) == 4 else None
