"""Loads and runs a model with mlx-vlm, in steps that a family's hooks can replace.

The defaults fit most models that mlx-vlm supports. Importing this module imports
mlx-vlm, which replaces `AutoProcessor.from_pretrained` for the whole process.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, cast

import mlx.core as mx
from mlx_vlm import stream_generate
from mlx_vlm.utils import (
    get_model_and_args,
    load_image_processor,
    load_model,
    load_processor,
    prepare_inputs,
    should_add_special_tokens,
)
from transformers import PreTrainedTokenizerBase

from schemas.commands import Load, Turn
from schemas.generation import Generation

from ...checkpoint import Checkpoint, read_generation_config
from ...error_classes import WorkerFailure, classify_unknown_as
from ...processor_settings import apply_settings, fill_missing_settings
from ..transformers import code_files
from ..transformers.prompt import (
    Inputs,
    check_texts,
    doubles_bos,
    has_second_bos,
    image_token_id,
    open_images,
)
from .device import Device
from .prompt import (
    adopt_template,
    check_images,
    count_tiles,
    render_prompt,
    takes_bare_prompt,
)
from .weights import (
    check_modules,
    check_types,
    compute_dtype,
    count_parameters,
    note_unused_weights,
    quantisation,
)


class ModelAdapter:
    """One loaded model. After `load_processor` and `load_model`: `processor`, `tokenizer`,
    `model` and `dtype` are set, and `notes` lists every unusual step.
    """

    def __init__(self, checkpoint: Checkpoint, ask: Load, device: Device) -> None:
        self.checkpoint, self.ask, self.device = checkpoint, ask, device
        self.model_type = str(checkpoint.model_type).lower()
        self.notes: list[str] = []
        self.dtype = self.dtype_reason = ""
        self.processor: Any = None
        self.tokenizer: Any = None
        self.model: Any = None
        if ask.trust_remote_code:
            code_files.install()

    def load_processor(self) -> None:
        """Set `processor` and `tokenizer`; imports the model's code, where its processor is."""
        folder, trust = self.checkpoint.folder, self.ask.trust_remote_code
        self.check_code()
        try:
            get_model_and_args(dict(self.checkpoint.config))
        except (ValueError, KeyError) as error:
            hint = "A newer mlx-vlm may know {model}, or the transformers engine does."
            raise WorkerFailure("unknown_architecture", str(error), hint) from error
        # Always passed, since mlx-vlm trusts by default; and never with a hub id.
        options = {**self.ask.processor, "trust_remote_code": trust, "local_files_only": True}
        hint = "Check preprocessor_config.json and processor_config.json of {model}."
        with classify_unknown_as("bad_processor", hint):
            self.processor = load_processor(folder, True, **options)
            image_processor = load_image_processor(folder, trust_remote_code=trust)
        if image_processor is None and isinstance(self.processor, PreTrainedTokenizerBase):
            message = "mlx-vlm has no processor of that name, only the tokenizer"
            raise WorkerFailure("bad_processor", message, hint)
        if image_processor is not None:
            self.processor.image_processor = image_processor
        self.notes += fill_missing_settings(self.processor, self.checkpoint.config)
        self.notes += apply_settings(self.processor, self.ask.processor, "mlx_vlm")
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        if not hasattr(self.tokenizer, "stopping_criteria"):
            message = f"{self.model_type} does not answer in text"
            raise WorkerFailure("unsupported", message, "Leave {model} out of the sweep.")
        adopt_template(self.processor, self.tokenizer)

    def check_code(self) -> None:
        """mlx-vlm runs the `model_file` of a config.json without asking; we ask."""
        name = self.checkpoint.config.get("model_file")
        if name and not self.ask.trust_remote_code:
            raise WorkerFailure(
                "remote_code_not_allowed",
                f"The checkpoint contains Python code ({name!r}), which mlx-vlm would run",
                "If you trust the authors of {model}, set trust_remote_code for it.",
            )

    def load_model(self) -> None:
        """Set `model` and `dtype`. Raises where weights are missing or have another shape."""
        with note_unused_weights(self.notes):
            model = load_model(
                self.checkpoint.folder,
                lazy=True,  # so that a change of dtype happens while reading
                strict=True,
                trust_remote_code=self.ask.trust_remote_code,
            )
        check_modules(model)
        check_types(model)
        own = compute_dtype(model)
        self.dtype, self.dtype_reason = self.device.dtype(self.ask.dtype, own)
        if self.dtype != own:
            model.set_dtype(getattr(mx, self.dtype))
        mx.eval(model.parameters())
        scheme = quantisation(self.checkpoint.config)
        if scheme:
            self.notes.append(scheme)
        self.tokenizer.stopping_criteria.reset(getattr(model.config, "eos_token_id", None))
        self.model = model

    def count_parameters(self) -> int:
        """As many as the model had before any quantisation."""
        return count_parameters(self.model)

    def render(self, turns: Sequence[Turn], generation: bool = True) -> str:
        """The prompt's text, with an image slot for each image."""
        return render_prompt(self.tokenizer, self.checkpoint.config, turns, generation)

    def markers(self) -> list[str]:
        """The text the template puts before an answer, found by comparing it with and without."""
        turns = [Turn(text="x")]
        bare, full = self.render(turns, generation=False), self.render(turns)
        return [full.removeprefix(bare)] if full != bare and full.startswith(bare) else []

    def prepare(self, turns: Sequence[Turn]) -> Inputs:
        """The model's inputs, computed and on its device."""
        check_images(self.model_type, turns)
        slot = self.image_slot()
        check_texts(turns, slot)
        text = self.render(turns)
        images = open_images(turns)
        try:
            tensors = self.process(text, images)
        except ValueError as error:
            if images and slot and slot not in text:
                raise _no_slot(error) from error
            if str(error).startswith("Failed to process inputs") and error.__context__:
                raise error.__context__ from None  # mlx-vlm hides the cause
            raise
        ids = tensors["input_ids"]
        mx.eval([value for value in tensors.values() if isinstance(value, mx.array)])
        tokens = int(ids.shape[-1])
        self.check_length(tokens)
        return Inputs(
            tensors=tensors,
            input_tokens=tokens,
            image_tokens=self.count_image_tokens(ids, turns) if images else 0,
            tiles=count_tiles(tensors, len(images)),
        )

    def process(self, text: str, images: list[Any]) -> dict[str, Any]:
        """Tokens and pixels by mlx-vlm's own preparation, without making it generate."""
        add = should_add_special_tokens(self.model_type, self.processor)
        found = self.tokenize(self.without_bos(text) if add else text, images, add)
        if has_second_bos(self.tokenizer, text, found["input_ids"][0].tolist()):
            # This processor always adds one.
            found = self.tokenize(text.removeprefix(self.tokenizer.bos_token), images, add)
        return found

    def tokenize(self, text: str, images: list[Any], add_special_tokens: bool) -> dict[str, Any]:
        """A text's tokens and the images' pixels."""
        found = prepare_inputs(
            self.processor,
            images=images or None,
            prompts=text,
            image_token_index=getattr(self.model.config, "image_token_index", None),
            add_special_tokens=add_special_tokens,
        )
        return dict(found)

    def without_bos(self, text: str) -> str:
        """The prompt without the start token that the tokenizer will put there by itself."""
        doubled = doubles_bos(self.tokenizer, text)
        return text.removeprefix(self.tokenizer.bos_token) if doubled else text

    def image_slot(self) -> str | None:
        """The placeholder of an image in a prompt, or None."""
        slot = getattr(self.processor, "image_token", None)
        if isinstance(slot, str):
            return slot
        token = image_token_id(self.model, self.processor)
        return None if token is None else self.tokenizer.convert_ids_to_tokens(token)

    def check_length(self, tokens: int) -> None:
        """Raises `too_long` where the checkpoint says that the prompt is longer than it can be."""
        config = self.checkpoint.config
        text = config.get("text_config") or {}
        longest = text.get("max_position_embeddings", config.get("max_position_embeddings"))
        if isinstance(longest, int) and tokens >= longest:
            raise WorkerFailure(
                "too_long",
                f"The prompt has {tokens} tokens, the model takes {longest}",
                "Use smaller or fewer images, or a shorter prompt, for {model}.",
            )

    def count_image_tokens(self, ids: mx.array, turns: Sequence[Turn]) -> int | None:
        """The number of input ids for images; by difference if their id is unknown."""
        token = image_token_id(self.model, self.processor)
        if token is not None:
            return int((ids == token).sum())
        if takes_bare_prompt(self.model_type):
            return None
        bare = self.render([Turn(role=turn.role, text=turn.text) for turn in turns])
        return max(0, int(ids.shape[-1]) - len(self.tokenizer(bare)["input_ids"]))

    def decode(self, ids: Sequence[int]) -> str:
        """Ids as raw text, special tokens kept."""
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def stop_token_ids(self) -> set[int]:
        """Ids that end an answer: the config's, the tokenizer's and the processor's own."""
        return set(self.tokenizer.stopping_criteria.eos_token_ids)

    def generate(self, inputs: Inputs, ask: Generation) -> Generator[int]:
        """The answer's ids as they come, the end token included."""
        others = {key: value for key, value in inputs.tensors.items() if key != "attention_mask"}
        for result in stream_generate(
            self.model,
            self.processor,
            "",  # the prompt is in the tensors
            **others,
            mask=inputs.tensors.get("attention_mask"),
            max_tokens=ask.max_new_tokens,
            **self.sampling(ask, inputs.tensors["input_ids"]),
        ):
            # If generation ends by length, the last token is reported twice.
            if result.token is not None and result.finish_reason != "length":
                yield int(result.token)

    def sampling(self, ask: Generation, prompt: mx.array) -> dict[str, Any]:
        """All settings spelled out: mlx-vlm fills those left out from the checkpoint, and would
        sample if that enables it.
        """
        own = self.generation_config()
        penalty = ask.repetition_penalty or own.get("repetition_penalty")
        options: dict[str, Any] = {"temperature": 0.0, "top_p": 1.0, "top_k": 0}
        if penalty and penalty != 1:
            options["logits_processors"] = [_repetition_penalty(float(penalty), prompt)]
        if ask.do_sample:
            given = {"temperature": ask.temperature, "top_p": ask.top_p, "top_k": ask.top_k}
            usual = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
            options |= {
                name: next(v for v in (value, own.get(name), usual[name]) if v is not None)
                for name, value in given.items()
            }
            options["seed"] = ask.seed
        return options

    def generation_config(self) -> dict[str, Any]:
        """The checkpoint's own settings."""
        return read_generation_config(self.checkpoint.folder)


def _repetition_penalty(penalty: float, prompt: mx.array) -> Any:
    """As in transformers: over prompt and answer, where mlx-vlm's looks at 20 tokens back."""
    ids = cast("list[int]", prompt.reshape(-1).tolist())
    seen = mx.array(sorted({token for token in ids if token >= 0}))

    def penalise(tokens: mx.array, logits: mx.array) -> mx.array:
        known = mx.concatenate([seen, mx.maximum(tokens, 0).astype(seen.dtype)])
        chosen = logits[:, known]
        logits[:, known] = mx.where(chosen < 0, chosen * penalty, chosen / penalty)
        return logits

    return penalise


def _no_slot(error: ValueError) -> WorkerFailure:
    return WorkerFailure(
        "image_ignored",
        f"The chat template left no slot for the images: {error}",
        "Check that the chat template of {model} has image slots.",
    )
