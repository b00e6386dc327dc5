"""Odd forms of content, reasoning, characters and choices."""

from __future__ import annotations

from typing import Any

from .manner import (
    ANSWER,
    DONE,
    HALF,
    SAID,
    STOP,
    Expected,
    Manner,
    delta,
    event,
    fails,
    message,
    reply,
    stream,
    usage,
)

THOUGHT = "Round. Red."
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
FACE = "\N{GRINNING FACE}"


def part(text: str) -> dict[str, str]:
    """A text part."""
    return {"type": "text", "text": text}


def pieces(name: str, *values: Any, expected: Expected | None = None) -> Manner:
    """These pieces, then the usual end."""
    return Manner(name=name, question=stream(*values, *STOP), expected=expected or Expected())


def whole(name: str, value: Any, expected: Expected | None = None) -> Manner:
    """One object."""
    return Manner(name=name, question=reply(200, value), expected=expected or Expected())


def manners() -> list[Manner]:
    """All of them."""
    return [*forms(), *unknown_forms(), *reasonings(), *characters(), *choices()]


def forms() -> list[Manner]:
    """Content that can be read."""
    refused = Expected(text="I can't say.", notes=("refus",))
    return [
        whole("polite-whole", message(), Expected(notes=("did not stream",))),
        pieces("polite-stream", *SAID),
        whole("message-parts", message([part(HALF), part(" circle.")])),
        pieces("delta-parts", delta([part(HALF)]), delta([part(" circle.")])),
        pieces("delta-parts-strings", delta([HALF, " circle."])),
        pieces("delta-parts-output-text", delta([{"type": "output_text", "text": ANSWER}])),
        pieces("delta-parts-empty", delta([]), *SAID),
        whole("message-mapping", message(part(ANSWER))),
        pieces("delta-mapping", delta(part(HALF)), delta(part(" circle."))),
        whole("refusal-message", message(None, refusal="I can't say."), refused),
        pieces("refusal-delta", delta(refusal="I can't"), delta(refusal=" say."), expected=refused),
        pieces(
            "refusal-part",
            delta([{"type": "refusal", "refusal": "I can't say."}]),
            expected=refused,
        ),
        pieces("legacy-text", legacy(HALF), legacy(" circle.")),
        whole(
            "legacy-text-whole", legacy(ANSWER) | usage() | {"choices": legacy(ANSWER)["choices"]}
        ),
        pieces("message-in-stream", message()),
        pieces("delta-null", {"choices": [{"index": 0, "delta": None}]}, *SAID),
        pieces("delta-missing", {"choices": [{"index": 0}]}, *SAID),
        pieces(
            "paragraphs",
            delta("A red circle.\n\nIt is small.\n"),
            expected=Expected(text="A red circle.\n\nIt is small."),
        ),
    ]


def legacy(text: str) -> dict[str, Any]:
    """A piece as the older completions protocol has it."""
    return {"object": "text_completion", "choices": [{"index": 0, "text": text}]}


def unknown_forms() -> list[Manner]:
    """Content that no reader knows: named, with the start of it."""
    odd = {
        "number": (42, "42"),
        "true": (True, "rue"),
        "mapping": ({"blob": {"x": 1}}, "blob"),
        "part": ([{"type": "output_audio", "data": "UklGR"}], "output_audio"),
        "nested-list": ([[["A red circle."]]], "A red"),
        "part-text-number": ([{"type": "text", "text": 42}], "42"),
    }
    found = []
    for name, (value, shown) in odd.items():
        wrong = fails("protocol", message=shown)
        after = fails("protocol", text=HALF, message=shown)
        found.append(whole(f"message-unknown-{name}", message(value), wrong))
        found.append(pieces(f"delta-unknown-{name}", delta(HALF), delta(value), expected=after))
    return [
        *found,
        pieces("delta-null-only", delta(None), expected=fails("protocol", retry=None)),
        whole("message-null", message(None), fails("protocol", retry=None)),
    ]


def reasonings() -> list[Manner]:
    """Reasoning next to or within the answer."""
    thought = Expected(reasoning=THOUGHT)
    inline, bare = f"<think>{THOUGHT}</think>", f"{THOUGHT}</think>\n\n"
    torn = [delta(text) for text in ("<thi", "nk>Round.", " Red.</", "think>", *inline[:0], ANSWER)]
    return [
        pieces("reasoning-content", delta(reasoning_content=THOUGHT), *SAID, expected=thought),
        pieces("reasoning-key", delta(reasoning=THOUGHT), *SAID, expected=thought),
        pieces("reasoning-part", delta([THINKING]), delta([part(ANSWER)]), expected=thought),
        whole("reasoning-whole", message(reasoning_content=THOUGHT), thought),
        pieces("think-inline", delta(inline), *SAID, expected=thought),
        pieces("think-without-opening", delta(bare), *SAID, expected=thought),
        pieces("think-torn", *torn, expected=thought),
        whole("think-whole", message(inline + ANSWER), thought),
        Manner(
            name="reasoning-only",
            question=stream(
                delta(reasoning_content=THOUGHT), delta(finish="length"), usage(), DONE
            ),
            expected=Expected(text="", reasoning=THOUGHT, finish_reason="length"),
        ),
    ]


def characters() -> list[Manner]:
    """Characters that come in pieces."""
    smile = Expected(text=f"A red circle. {FACE}")
    data = event(delta(f" {FACE}"))
    cut = data.index(FACE.encode()) + 2
    left, right = FACE.encode()[:2], FACE.encode()[2:]
    marked = event(delta("@"))
    high, low = (event(delta("@")).replace(b"@", half) for half in (b" \\ud83d", b"\\ude00"))
    return [
        pieces("emoji-in-two-packets", *SAID, data[:cut], data[cut:], expected=smile),
        pieces(
            "emoji-bytes-in-two-events",
            *SAID,
            marked.replace(b"@", b" " + left),
            marked.replace(b"@", right),
            expected=smile,
        ),
        pieces("emoji-surrogates-in-two-events", *SAID, high, low, expected=smile),
        pieces(
            "emoji-surrogates-in-one-event",
            *SAID,
            high.replace(b"3d", b"3d\\ude00", 1),
            expected=smile,
        ),
        pieces("lone-surrogate", *SAID, high, expected=Expected(text="A red circle. \ufffd")),
        pieces(
            "broken-bytes",
            *SAID,
            marked.replace(b"@", b" \xff"),
            expected=Expected(text="A red circle. \ufffd"),
        ),
        pieces(
            "emoji-bytes-then-error",
            delta(HALF),
            marked.replace(b"@", left),
            {"error": {"message": "boom"}},
            expected=fails("server_error", text=HALF + "\ufffd", retry="queue"),
        ),
    ]


def choices() -> list[Manner]:
    """None or several."""
    second = {"index": 1, "delta": {"content": "Blue!"}, "finish_reason": None}
    other = {"object": "chat.completion.chunk", "choices": [second]}
    two = message() | {
        "choices": [*message()["choices"], {**message("Blue!")["choices"][0], "index": 1}]
    }
    swapped = two | {"choices": two["choices"][::-1]}
    wrong = fails("protocol", retry=None)
    return [
        whole("choices-empty", message() | {"choices": []}, wrong),
        whole("choices-null", message() | {"choices": None}, wrong),
        whole("choices-mapping", message() | {"choices": {"0": ANSWER}}, wrong),
        whole("choices-missing", {"id": "x", "object": "chat.completion"}, wrong),
        whole("choice-a-number", {"choices": [7]}, wrong),
        whole("two-choices", two),
        whole("two-choices-swapped", swapped),
        pieces("two-choices-stream", other, *SAID, other),
    ]
