"""A prompt of one turn or several, and the images of the sweep that it uses."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from .base import NonEmpty, SweepModelBase, named


class TurnSpec(SweepModelBase):
    """One turn of a conversation."""

    role: Literal["user", "assistant"] = "user"
    text: NonEmpty


TurnLike = Annotated[
    TurnSpec, BeforeValidator(named("text"), json_schema_input_type=str | TurnSpec)
]
ImageChoice = Annotated[
    Annotated[Literal["each", "none", "all"], Tag("word")]
    | Annotated[list[NonEmpty], Field(min_length=1), Tag("files")],
    Discriminator(lambda value: "files" if isinstance(value, list | tuple) else "word"),
]


class Prompt(SweepModelBase):
    """A question, or a conversation of several turns, and its images.

    `images`: "each" asks it once per image of the sweep, "none" without an image, "all"
    once with all of them; a list of files asks it once, with those.
    """

    text: NonEmpty | None = None
    turns: Annotated[list[TurnLike], Field(min_length=1)] | None = None
    name: NonEmpty | None = None
    images: ImageChoice = "each"

    @model_validator(mode="after")
    def one_way_to_ask(self) -> Self:
        """Either a text or turns that end with a user's."""
        if (self.text is None) == (self.turns is None):
            raise ValueError("give either text or turns")
        if self.turns and self.turns[-1].role == "assistant":
            raise ValueError("the last turn must be the user's")
        return self

    @property
    def question(self) -> str:
        """The user's turns, a line each."""
        texts = [turn.text for turn in self.turns or [] if turn.role == "user"]
        return self.text or "\n".join(texts)


PromptLike = Annotated[Prompt, BeforeValidator(named("text"), json_schema_input_type=str | Prompt)]
