"""The marks that models put around their reasoning, known ones and those a checkpoint names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NAME = r"[\w:]*(?:think|thought|reason)\w*"
TOKEN = re.compile(rf"<\|?{NAME}\|?>|\[{NAME}\]|◁{NAME}▷", re.IGNORECASE)
ENDS = {"start": "end", "begin": "end", "START": "END", "BEGIN": "END"}


@dataclass(frozen=True, slots=True)
class MarkerPair:
    """Patterns of the opening and the closing mark.

    `closes_alone`: a closing mark without an opening one ends a reasoning, too. The prompt may
    hold the opening mark.
    """

    opening: str
    closing: str
    closes_alone: bool = True


def make_pair(opening: str, closing: str) -> MarkerPair:
    """A pair of two literal marks."""
    return MarkerPair(re.escape(opening), re.escape(closing))


KNOWN = (
    make_pair("<think>", "</think>"),
    make_pair("<thinking>", "</thinking>"),
    make_pair("<seed:think>", "</seed:think>"),
    make_pair("◁think▷", "◁/think▷"),
    make_pair("[THINK]", "[/THINK]"),
    make_pair("<|begin_of_thought|>", "<|end_of_thought|>"),
    make_pair("<|START_THINKING|>", "<|END_THINKING|>"),
    # Channels: the reasoning is in one of several, and the answer in the last.
    MarkerPair(
        r"(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*(?:analysis|commentary)[^<]*<\|message\|>",
        r"<\|end\|>(?:\s*<\|start\|>\s*assistant)?(?:\s*<\|channel\|>\s*final[^<]*<\|message\|>)?",
        closes_alone=False,  # other models end every answer with <|end|>
    ),
    MarkerPair(r"<\|channel>\s*thought\b", r"<channel\|>"),
)


def find_pairs(texts: Iterable[str]) -> tuple[MarkerPair, ...]:
    """The known pairs, and those of which both marks are in `texts` (templates and tokens)."""
    joined = "\n".join(texts)
    openings = dict.fromkeys(found[0] for found in TOKEN.finditer(joined))
    named = [
        make_pair(opening, closing)
        for opening in openings
        for closing in _possible_closings(opening)
        if closing in joined
    ]
    return tuple(dict.fromkeys((*KNOWN, *named)))


def _possible_closings(mark: str) -> list[str]:
    """The closing marks that would belong to an opening one: </x> to <x>, <x_end> to <x_start>."""
    slash = re.sub(r"\A(<\|?|\[|◁)", r"\1/", mark)
    ends = [mark.replace(start, end) for start, end in ENDS.items() if start in mark]
    return [slash, *ends]


def opened_by(prompt: str, pairs: Sequence[MarkerPair]) -> MarkerPair | None:
    """The pair whose opening mark is at the end of a prompt without its closing one, or None."""
    for pair in pairs:
        opened = [found.end() for found in re.finditer(pair.opening, prompt, re.IGNORECASE)]
        if opened and not re.search(pair.closing, prompt[opened[-1] :], re.IGNORECASE):
            return pair
    return None
