"""Separates a model's reasoning from its answer, for all engines."""

from __future__ import annotations

from dataclasses import replace

from .engine import GeneratedAnswer
from .error_classes import WorkerFailure
from .reasoning_parser import ParsedText, ReasoningParser


def split_reasoning(answer: GeneratedAnswer, parser: ReasoningParser) -> GeneratedAnswer:
    """The answer with its reasoning apart, both readable. `raw_text` is not changed."""
    parsed = _parse(answer.text, answer.reasoning, parser)
    return replace(
        answer,
        text=parsed.answer,
        reasoning=parsed.reasoning,
        notes=[*answer.notes, *parsed.notes],
    )


def split_text_of_failure(failure: WorkerFailure, parser: ReasoningParser) -> None:
    """The same for the text of an answer that is complete although the run failed."""
    if failure.text is None:
        return
    parsed = _parse(failure.text, failure.reasoning, parser)
    failure.text, failure.reasoning = parsed.answer, parsed.reasoning
    failure.notes += parsed.notes


def _parse(text: str, sent_apart: str | None, parser: ReasoningParser) -> ParsedText:
    parsed = parser.parse(text, sent_apart=sent_apart is not None)
    parts = ((sent_apart or "").strip(), parsed.reasoning)
    return replace(parsed, reasoning="\n\n".join(filter(None, parts)) or None)
