"""A stand-in OpenAI-compatible server with many named ways of behaving and misbehaving.

with serving(manners()) as server: ...   or   python -m tests.helpers.openai_manners --port N
"""

from __future__ import annotations

from . import busy, content, counts, endings, framing, refusals
from .manner import PNG, Expected, Manner
from .server import MannerServer, serving

__all__ = ["PNG", "Expected", "Manner", "MannerServer", "manners", "serving"]


def manners() -> dict[str, Manner]:
    """Creates every manner by name; some count their requests."""
    found: dict[str, Manner] = {}
    for module in (busy, endings, content, framing, refusals, counts):
        for manner in module.manners():
            assert manner.name not in found, manner.name
            found[manner.name] = manner
    return found
