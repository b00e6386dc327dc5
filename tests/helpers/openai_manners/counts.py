"""Token counts of odd sizes and types. A count that cannot be one is unknown, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .manner import (
    ANSWER,
    DONE,
    IMAGE_TOKENS,
    SAID,
    TEXT_TOKENS,
    Behave,
    Expected,
    Manner,
    delta,
    fails,
    stream,
    usage,
)

UNKNOWN: Mapping[str, int | None] = {
    "input_tokens": None,
    "image_tokens": None,
    "output_tokens": None,
}

LONG_COUNT = f'{{"choices": [], "usage": {{"prompt_tokens": {"7" * 5000}}}}}'


def counted(prompt: Any, completion: Any, **more: Any) -> Behave:
    """A right answer with these counts."""
    return stream(*SAID, delta(finish="stop"), usage(prompt, completion, **more), DONE)


def odd(name: str, prompt: Any, completion: Any, known: bool | None = False) -> Manner:
    """Counts of one odd kind. `known` None leaves open whether they are read or unknown."""
    counts = {} if known is None else UNKNOWN
    return Manner(
        name=f"usage-{name}", question=counted(prompt, completion), expected=Expected(counts=counts)
    )


def bare(name: str, last: Any) -> Manner:
    """A right answer with this for its usage."""
    piece = delta(finish="stop") | ({} if last is ... else {"usage": last})
    return Manner(
        name=f"usage-{name}",
        question=stream(*SAID, piece, DONE),
        expected=Expected(counts=UNKNOWN),
    )


def manners() -> list[Manner]:
    """All of them."""
    everything = {"input_tokens": 76, "image_tokens": IMAGE_TOKENS, "output_tokens": 7}
    return [
        Manner(name="usage-right", question=counted(76, 7), expected=Expected(counts=everything)),
        odd("beyond-64-bits", 2**70, 2**70),
        odd("at-64-bits", 2**63, 2**63),
        odd("beyond-digits", 10**400, 10**400),
        Manner(
            name="usage-of-5000-digits",
            question=stream(*SAID, delta(finish="stop"), LONG_COUNT, DONE),
            expected=Expected(counts=UNKNOWN, notes=("not counts",)),
        ),
        odd("negative", -76, -7),
        odd("null", None, None),
        odd("lists", [76], [7]),
        odd("booleans", True, True),
        odd("nan", float("nan"), float("inf")),
        odd("strings", "76", "7", known=None),
        odd("floats", 76.0, 7.0, known=None),
        odd("fractions", 76.5, 7.5),
        bare("missing", ...),
        bare("a-list", [76, 7]),
        bare("a-string", "76"),
        bare("empty", {}),
        Manner(
            name="usage-zero-output",
            question=counted(76, 0),
            expected=Expected(counts={"output_tokens": None}),
        ),
        Manner(
            name="usage-in-every-chunk",
            question=stream(
                *(
                    piece | usage(76, n) | {"choices": piece["choices"]}
                    for n, piece in enumerate(SAID)
                ),
                delta(finish="stop") | {"usage": usage(76, 7)["usage"]},
                DONE,
            ),
            expected=Expected(counts=everything),
        ),
        *image_counts(),
    ]


def image_counts() -> list[Manner]:
    """Token counts of servers that cache, do not count images, or ignore them."""
    unknown = Expected(counts={"image_tokens": None}, notes=("image tokens unknown",))
    cached = {"cached_tokens": 70}
    none = fails("image_ignored", text=ANSWER)
    return [
        Manner(
            name="fewer-tokens-with-image", question=counted(TEXT_TOKENS - 7, 7), expected=unknown
        ),
        Manner(
            name="fewer-tokens-with-image-cached",
            question=counted(TEXT_TOKENS - 7, 7, prompt_tokens_details=cached),
            expected=unknown,
        ),
        Manner(
            name="same-tokens-with-image-cached",
            question=counted(TEXT_TOKENS, 7, prompt_tokens_details=cached),
            expected=unknown,
        ),
        Manner(name="same-tokens-with-image", question=counted(TEXT_TOKENS, 7), expected=none),
        Manner(
            name="image-tokens-told",
            question=counted(90, 7, prompt_tokens_details={"image_tokens": 50}),
            expected=Expected(counts={"input_tokens": 90, "image_tokens": 50}),
        ),
        Manner(
            name="image-tokens-told-huge",
            question=counted(76, 7, prompt_tokens_details={"image_tokens": 2**70}),
            expected=Expected(counts={"image_tokens": IMAGE_TOKENS}),
        ),
        Manner(
            name="details-a-string",
            question=counted(76, 7, prompt_tokens_details="none"),
            expected=Expected(counts={"image_tokens": IMAGE_TOKENS}),
        ),
        Manner(
            name="probe-refused",
            question=counted(76, 7),
            probe=lambda exchange: exchange.reply(400, {"error": "an image is needed"}),
            expected=Expected(
                counts={"input_tokens": 76, "image_tokens": None}, notes=("image tokens unknown",)
            ),
        ),
        Manner(
            name="same-tokens-no-usage-for-text",
            question=counted(TEXT_TOKENS, 7),
            probe=stream(delta("A", "length"), DONE),
            expected=Expected(counts={"image_tokens": None}),
        ),
    ]
