"""Loads and runs a model, in steps that a family's hooks can replace one by one.

The defaults fit every model that AutoModelForImageTextToText supports.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

from schemas.commands import Load, Turn
from schemas.generation import Generation

from ...checkpoint import Checkpoint, read_generation_config
from ...error_classes import WorkerFailure, classify_unknown_as
from ...generation_config import (
    SAMPLING_KEYS,
    SET_ASIDE,
    requested_keys,
    set_aside_notes,
    stop_strings,
)
from ...processor_settings import apply_settings, fill_missing_settings
from ...video import has_videos
from . import code_files, legacy_config
from .device import Device
from .prompt import (
    Inputs,
    check_texts,
    count_tiles,
    doubles_bos,
    image_token_id,
    open_images,
    process,
    render,
)
from .streamer import TokenStreamer
from .video import fills_slot, takes_one_kind, takes_videos, video_options, video_token_id
from .without_torchvision import disable_video_processor, wants_torchvision


class ModelAdapter:
    """One loaded model. After `load_processor` and `load_model`: `processor`, `tokenizer` and
    `model` are set, and `notes` lists every unusual step.
    """

    auto_model: Any = AutoModelForImageTextToText

    def __init__(self, checkpoint: Checkpoint, ask: Load, device: Device) -> None:
        self.checkpoint, self.ask, self.device = checkpoint, ask, device
        self.notes: list[str] = []
        self.ignored_settings: list[str] = []  # keys of the generation config
        self.stop_strings: list[str] = []
        self.processor: Any = None
        self.tokenizer: Any = None
        self.model: Any = None
        self._sees_videos: bool | None = None
        if ask.trust_remote_code:
            code_files.install()
            legacy_config.install()

    def common(self) -> dict[str, Any]:
        """Options for every `from_pretrained`: files on disk only, and only permitted code."""
        return {"local_files_only": True, "trust_remote_code": self.ask.trust_remote_code}

    def load_processor(self) -> None:
        """Set `processor` and `tokenizer`. Raises `WorkerFailure` if they or the config are bad."""
        hint = "Compare config.json of {model} with the published one."
        with classify_unknown_as("bad_config", hint):
            AutoConfig.from_pretrained(str(self.checkpoint.folder), **self.common())
        hint = "Check preprocessor_config.json and processor_config.json of {model}."
        with classify_unknown_as("bad_processor", hint):
            self.processor = self.make_processor()
        if isinstance(self.processor, PreTrainedTokenizerBase):
            message = "This transformers has no processor of that name, only the tokenizer"
            raise WorkerFailure("bad_processor", message, hint)
        self.notes += fill_missing_settings(self.processor, self.checkpoint.config)
        self.notes += apply_settings(self.processor, self.ask.processor, "")
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)

    def make_processor(self) -> Any:
        """The processor, with the settings the user gave for it."""
        options = {**self.ask.processor, **self.common()}
        folder = str(self.checkpoint.folder)
        try:
            return AutoProcessor.from_pretrained(folder, **options)
        except (ImportError, ValueError) as error:
            if not wants_torchvision(error):
                raise
            first = error
        disable_video_processor()
        try:
            processor = AutoProcessor.from_pretrained(folder, **options)
        except TypeError as error:  # this class takes no processor without video
            raise first from error
        self.notes.append("no torchvision here: the processor was built without video")
        return processor

    def load_model(self) -> None:
        """Set `model`, on its device. Raises `missing_weights` where some stayed random."""
        options = {**self.common(), "dtype": self.device.dtype, "output_loading_info": True}
        options["use_safetensors"] = None if self.ask.allow_pickle else True
        if self.device.loads_directly:
            options["device_map"] = {"": self.device.name}
        options |= self.model_options() | self.own_generation_config()
        model, info = self.auto_model.from_pretrained(str(self.checkpoint.folder), **options)
        self.check_keys(info)
        self.model = model.eval() if "device_map" in options else model.to(self.device.name).eval()

    def own_generation_config(self) -> dict[str, Any]:
        """The checkpoint's settings as an option of `from_pretrained`, less those set aside.

        The library refuses some of them while it loads the model. Raises `bad_config`.
        """
        own = read_generation_config(self.checkpoint.folder)
        self.ignored_settings = requested_keys(own, SET_ASIDE)
        if not self.ignored_settings:
            return {}
        kept = {name: value for name, value in own.items() if name not in SET_ASIDE}
        with classify_unknown_as("bad_config", "Check generation_config.json of {model}."):
            return {"generation_config": GenerationConfig.from_dict(kept)}

    def model_options(self) -> dict[str, Any]:
        """More options for the model's `from_pretrained`: none, as a rule."""
        return {}

    def check_keys(self, info: dict[str, Any]) -> None:
        """Weights that the checkpoint lacks were filled with noise: such a model never answers.

        The library takes tied weights off the list by itself.
        """
        missing = sorted(info["missing_keys"])
        wrong = sorted(str(key) for key in info["mismatched_keys"])
        if missing or wrong:
            raise WorkerFailure(
                "missing_weights",
                f"{len(missing)} weights are missing and {len(wrong)} have another shape than the "
                f"config says: {', '.join([*missing, *wrong][:4])}",
                "The weights do not belong to the config.json of {model}; {again}",
            )
        unexpected = sorted(info["unexpected_keys"])
        if unexpected:
            self.notes.append(
                f"{len(unexpected)} weights in the files are not used: {', '.join(unexpected[:4])}"
            )

    def render(self, turns: Sequence[Turn], generation: bool = True) -> str:
        """The prompt's text, with a slot for each image."""
        return render(self.processor, self.tokenizer, turns, generation)

    def markers(self) -> list[str]:
        """The text the template puts before an answer, found by comparing it with and without."""
        turns = [Turn(text="x")]
        bare, full = self.render(turns, generation=False), self.render(turns)
        return [full.removeprefix(bare)] if full != bare and full.startswith(bare) else []

    def prepare(self, turns: Sequence[Turn]) -> Inputs:
        """The model's inputs, on its device."""
        slot = self.image_slot()
        check_texts(turns, slot)
        if self.sees_videos():
            check_texts(turns, self.processor.video_token)
        text = self.render(turns)
        images = open_images(turns)
        options: dict[str, Any] = {"text": [text], "return_tensors": "pt"}
        if images:
            options["images"] = images
        if videos := has_videos(turns):
            options |= video_options(turns)
        if doubles_bos(self.tokenizer, text):
            options["add_special_tokens"] = False
        tensors = process(self.processor, slot, options)
        ids = tensors["input_ids"]
        tokens = int(ids.shape[-1])
        self.check_length(tokens)
        return Inputs(
            tensors=dict(tensors.to(self.device.name, dtype=self.device.dtype)),
            input_tokens=tokens,
            image_tokens=self.count_image_tokens(ids, turns) if images or videos else 0,
            tiles=count_tiles(tensors, len(images)),
        )

    def sees_videos(self, turns: Sequence[Turn] = ()) -> bool:
        """True if videos can be passed as such: processor and template take them, and also
        together with images if these turns hold both.
        """
        if self._sees_videos is None:
            self._sees_videos = takes_videos(self.processor) and fills_slot(
                self.render, self.processor.video_token
            )
        has_images = any(turn.images for turn in turns)
        return self._sees_videos and not (has_images and takes_one_kind(self.processor))

    def image_slot(self) -> str | None:
        """The placeholder of an image in a prompt, or None."""
        slot = getattr(self.processor, "image_token", None)
        if isinstance(slot, str):
            return slot
        token = image_token_id(self.model, self.processor)
        return None if token is None else self.tokenizer.convert_ids_to_tokens(token)

    def check_length(self, tokens: int) -> None:
        """Raises `too_long` where the model has no places for the prompt."""
        config = self.model.config.get_text_config()
        longest = getattr(config, "max_position_embeddings", None)
        if isinstance(longest, int) and tokens >= longest:
            raise WorkerFailure(
                "too_long",
                f"The prompt has {tokens} tokens, the model takes {longest}",
                "Use smaller or fewer images, or a shorter prompt, for {model}.",
            )

    def count_image_tokens(self, ids: Any, turns: Sequence[Turn]) -> int | None:
        """The number of input ids for images; by difference if their id is unknown."""
        token = image_token_id(self.model, self.processor)
        if token is not None:
            # Some models have a token of its own for videos, others use the images'.
            tokens = {token, video_token_id(self.model, self.processor)}
            return sum(int((ids == token).sum()) for token in tokens if token is not None)
        bare = [Turn(role=turn.role, text=turn.text) for turn in turns]
        text = self.render(bare)
        return max(0, int(ids.shape[-1]) - len(self.tokenizer(text)["input_ids"]))

    def decode(self, ids: Sequence[int]) -> str:
        """Ids as raw text, special tokens kept."""
        return str(
            self.tokenizer.decode(
                ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def generate(self, inputs: Inputs, ask: Generation, streamer: TokenStreamer) -> set[int]:
        """Generate into `streamer`; the result is the ids that end an answer."""
        settings = self.settings(ask)
        if ask.do_sample and ask.seed is not None:
            torch.manual_seed(ask.seed)
        options: dict[str, Any] = {}
        if self.stop_strings:
            options["tokenizer"] = self.tokenizer
        inputs.notes.extend(set_aside_notes(self.ignored_settings))
        with torch.inference_mode():
            self.model.generate(
                **inputs.tensors, generation_config=settings, streamer=streamer, **options
            )
        return set(settings.eos_token_id or ())

    def settings(self, ask: Generation) -> Any:
        """The checkpoint's generation config, less its sampling where that was not asked for.

        `generate()` fills unset values from the model's own config, so that is replaced too.
        """
        if not hasattr(self, "_published"):
            self._published = self.model.generation_config
            self._reset_set_aside(self._published)
        settings = copy.deepcopy(self._published)
        self.stop_strings = stop_strings(settings.stop_strings)
        settings.stop_strings = self.stop_strings or None
        settings.update(max_new_tokens=ask.max_new_tokens, max_length=None, num_beams=1)
        settings.do_sample = ask.do_sample
        for name in SAMPLING_KEYS:
            value = getattr(ask, name, None) if ask.do_sample else None
            if not ask.do_sample or value is not None:
                setattr(settings, name, value)
        if ask.repetition_penalty is not None:
            settings.repetition_penalty = ask.repetition_penalty
        settings.eos_token_id = sorted(self.stop_token_ids(settings.eos_token_id)) or None
        if settings.pad_token_id is None and settings.eos_token_id:
            settings.pad_token_id = settings.eos_token_id[0]
        self.model.generation_config = settings
        return settings

    def _reset_set_aside(self, published: Any) -> None:
        """Give settings that come from elsewhere, such as config.json, the library's defaults."""
        others = requested_keys(vars(published), SET_ASIDE)
        self.ignored_settings = list(dict.fromkeys([*self.ignored_settings, *others]))
        usual = GenerationConfig()
        for name in SET_ASIDE:
            if hasattr(published, name):
                setattr(published, name, getattr(usual, name, None))

    def stop_token_ids(self, configured: int | list[int] | None) -> set[int]:
        """Ids that end an answer: the generation config's, and the tokenizer's own end."""
        ids = [configured] if isinstance(configured, int) else list(configured or ())
        own = getattr(self.tokenizer, "eos_token_id", None)
        return {*ids, *([own] if own is not None else [])}
