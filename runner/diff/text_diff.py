"""Word diff of two texts with difflib: segments kept, deleted or inserted.

Words, single signs and, in scripts that put no blanks between words, single characters are
compared; blanks between two changes belong to them. It marks pieces and leaves drawing to others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, takewhile

# Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese write their words together.
TOGETHER = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
TOKEN = re.compile(rf"[{TOGETHER}]|[^\W{TOGETHER}]+|\s+|[^\w\s]")
SENTENCE = re.compile(r"[^.!?。！？]+[.!?。！？]*|[.!?。！？]+")
LONG = 2000  # tokens above which whole sentences are compared: difflib's time is quadratic
AROUND = 12  # tokens of context kept around a change


@dataclass(frozen=True, slots=True)
class DiffSegment:
    """A segment before and after; `old` and `new` are equal if it is unchanged.

    A `gap` replaces a long unchanged segment.
    """

    old: str
    new: str
    gap: bool = False

    @property
    def same(self) -> bool:
        """Whether it stayed."""
        return self.old == self.new


def diff_segments(a: str, b: str) -> list[DiffSegment]:
    """From text A to text B; changes with nothing but blanks between them are one."""
    out: list[DiffSegment] = []
    left, right = TOKEN.findall(a), TOKEN.findall(b)
    if len(left) + len(right) > LONG:
        left, right = SENTENCE.findall(a), SENTENCE.findall(b)
    for piece in raw_opcodes(left, right):
        if len(out) > 1 and not piece.same and not out[-1].old.strip() and not out[-2].same:
            blank, before = out.pop(), out.pop()
            piece = DiffSegment(
                before.old + blank.old + piece.old, before.new + blank.new + piece.new
            )
        if piece.old or piece.new:
            out.append(piece)
    return out


def raw_opcodes(a: list[str], b: list[str]) -> Iterator[DiffSegment]:
    """Pieces as difflib sees them, equal ends taken off first."""
    head = common_prefix_length(zip(a, b, strict=False))
    rest = min(len(a), len(b)) - head
    tail = common_prefix_length(islice(zip(reversed(a), reversed(b), strict=False), rest))
    yield as_piece(a[:head], a[:head])
    left, right = a[head : len(a) - tail], b[head : len(b) - tail]
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for _, i, j, k, end in matcher.get_opcodes():
        yield as_piece(left[i:j], right[k:end])
    yield as_piece(a[len(a) - tail :], a[len(a) - tail :])


def as_piece(old: list[str], new: list[str]) -> DiffSegment:
    """Tokens as a piece."""
    return DiffSegment("".join(old), "".join(new))


def common_prefix_length(found: Iterable[tuple[str, str]]) -> int:
    """The number of equal pairs at the start."""
    return sum(1 for _ in takewhile(lambda two: two[0] == two[1], found))


def elide_unchanged(found: list[DiffSegment]) -> Iterator[DiffSegment]:
    """The same with long unchanged segments cut to the context around a change."""
    for place, one in enumerate(found):
        tokens = TOKEN.findall(one.old)
        if not one.same or len(tokens) <= 2 * AROUND + 2:
            yield one
            continue
        first, last = place == 0, place == len(found) - 1
        if not first:
            yield as_piece(tokens[:AROUND], tokens[:AROUND])
        yield DiffSegment(" … ", " … ", gap=True)
        if not last:
            yield as_piece(tokens[-AROUND:], tokens[-AROUND:])


def format_inline_diff(found: Iterable[DiffSegment]) -> str:
    """One text with {-deletions-} and {+insertions+}."""
    return "".join(
        one.old
        if one.same
        else (f"{{-{one.old}-}}" if one.old else "") + (f"{{+{one.new}+}}" if one.new else "")
        for one in found
    )
