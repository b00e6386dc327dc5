"""Suggests a command for an unknown one; never one that acts in place of one that reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

READING = frozenset(
    (
        "plan",
        "watch",
        "logs",
        "show",
        "report",
        "history",
        "search",
        "sql",
        "schema",
        "sweeps",
        "browse",
        "diff",
        "models",
        "doctor",
        "help",
        "list",
    )
)
SYNONYMS = {
    "answers": "show --runs",
    "compare": "diff",
    "errors": "history failures",
    "failures": "history failures",
    "info": "doctor",
    "list": "sweeps",
    "log": "logs",
    "ls": "sweeps",
    "monitor": "watch",
    "query": "sql",
    "result": "show",
    "results": "show",
    "runs": "show --runs",
    "scores": "show --scores",
    "stats": "show",
    "status": "queue",
    "summary": "show",
    "tables": "schema",
    "ui": "browse",
    "validate": "plan",
    "web": "browse",
}
READING_CUTOFF, ACTING_CUTOFF = 0.6, 0.79  # least similarity, 0 to 1; a typing error is above both


def suggest_command(name: str, known: Iterable[str]) -> str | None:
    """Return the command that was probably meant; None if none is clear."""
    commands = list(known)
    meant = SYNONYMS.get(name.lower())
    if meant is not None and meant.split()[0] in commands:
        return meant
    for command in difflib.get_close_matches(name.lower(), commands, n=3, cutoff=READING_CUTOFF):
        ratio = difflib.SequenceMatcher(None, command, name.lower()).ratio()
        if command in READING or ratio >= ACTING_CUTOFF:
            return command
    return None
