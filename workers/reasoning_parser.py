"""Finds a model's reasoning in its text, by the marks around it.

Only what begins the text is reasoning: a mark within an answer is part of the answer. The first
closing mark ends it, as in the parsers of servers, so that a text scores the same whether a server
sends its reasoning apart or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .detokenize import TextCleaner
from .reasoning_markers import KNOWN, MarkerPair, find_pairs, opened_by

UNCLOSED = "the text ended within the model's reasoning: the answer is empty"
NO_OPENING = "the text has no opening mark of a reasoning, only a closing one: what is before it \
was taken for the model's reasoning"
QUOTES = "`'\""
SENTENCE_END = ".!?…。！？)]}\"'*"


@dataclass(frozen=True, slots=True)
class ParsedText:
    """An answer and the reasoning before it (None without any), both readable."""

    answer: str
    reasoning: str | None = None
    notes: tuple[str, ...] = ()


class ReasoningParser:
    """Splits the texts of one model.

    `cleaner` makes the parts readable. `opened` is the pair whose opening mark ends the
    model's prompt.
    """

    def __init__(
        self,
        cleaner: TextCleaner | None = None,
        pairs: Sequence[MarkerPair] = KNOWN,
        opened: MarkerPair | None = None,
    ) -> None:
        self._cleaner = cleaner or TextCleaner(())
        self._opened = re.compile(opened.closing, re.IGNORECASE) if opened else None
        openings = "|".join(f"(?P<_{n}>{pair.opening})" for n, pair in enumerate(pairs))
        self._block = re.compile(rf"{self._cleaner.lead}(?:{openings})", re.IGNORECASE)
        self._opening = re.compile("|".join(pair.opening for pair in pairs), re.IGNORECASE)
        self._closings = [re.compile(pair.closing, re.IGNORECASE) for pair in pairs]
        alone = "|".join(pair.closing for pair in pairs if pair.closes_alone)
        self._alone = re.compile(alone, re.IGNORECASE)

    def parse(self, text: str, *, sent_apart: bool = False) -> ParsedText:
        """The parts of a text; `sent_apart` if its reasoning was already received elsewhere."""
        parts: list[str] = []
        notes: list[str] = []
        rest = self._after_marked_blocks(text, parts)
        if rest is not None and not parts and not sent_apart:
            rest = self._after_unmarked_block(text, parts, notes)
        elif rest is not None and (mark := self._alone.match(rest.lstrip())):
            rest = rest.lstrip()[mark.end() :]  # a server sent the reasoning, not its closing mark
        if rest is None:
            notes.append(UNCLOSED)
        found = "\n\n".join(filter(None, map(self._cleaner.strip, parts)))
        return ParsedText(self._cleaner.clean(rest or ""), found or None, tuple(notes))

    def visible(self, piece: str) -> bool:
        """Whether a piece of raw text shows anything; marks do not."""
        return self._cleaner.visible(self._opening.sub("", self._alone.sub("", piece)))

    def _after_marked_blocks(self, text: str, parts: list[str]) -> str | None:
        """The text after all marked blocks that begin it; None if the last is not closed."""
        while block := self._block.match(text):
            number = int(str(block.lastgroup)[1:])
            closing = self._closings[number].search(text, block.end())
            if closing is None:
                parts.append(text[block.end() :])
                return None
            parts.append(text[block.end() : closing.start()])
            text = text[closing.end() :]
        return text

    def _after_unmarked_block(self, text: str, parts: list[str], notes: list[str]) -> str | None:
        """The text after a reasoning without an opening mark: the prompt holds that."""
        if self._opened:
            closing = self._opened.search(text)
            parts.append(text[: closing.start()] if closing else text)
            return text[closing.end() :] if closing else None
        for closing in self._alone.finditer(text):
            before, after = text[: closing.start()], text[closing.end() :]
            if self._opening.search(before):
                return text
            if is_mention(before, after):
                continue
            parts.append(before)
            notes.extend([NO_OPENING] if before.strip() else [])
            return after
        return text


def is_mention(before: str, after: str) -> bool:
    """Whether a closing mark between these texts is spoken of, not used: within quotes or a block
    of code, or in the middle of a line of prose.
    """
    if before.count("```") % 2:
        return True
    if before[-1:] in tuple(QUOTES) and after[:1] == before[-1:]:
        return True
    ends_sentence = before.rstrip(" \t")[-1:] in ("", "\n", *SENTENCE_END)
    own_line = not before.endswith((" ", "\t")) or after[:1] in ("", "\n", "\r")
    return not (ends_sentence or own_line)


def parser_for(
    cleaner: TextCleaner, tokenizer: Any, processor: Any, prompt_end: Iterable[str]
) -> ReasoningParser:
    """The parser of a loaded model: marks of its tokens and chat templates, too.

    `prompt_end` is what the chat template puts before an answer.
    """
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    pairs = find_pairs([*map(str, added.values()), *templates(tokenizer), *templates(processor)])
    return ReasoningParser(cleaner, pairs, opened_by("".join(prompt_end), pairs))


def templates(owner: Any) -> list[str]:
    """The chat templates of a tokenizer or processor, which may have several by name."""
    found = getattr(owner, "chat_template", None)
    values = found.values() if isinstance(found, dict) else [found]
    return [value for value in values if isinstance(value, str)]
