"""The full-text indexes. What SQLite keeps them in (`runs_fts_data` and the like) is its own."""

from __future__ import annotations

from typing import Annotated, TypedDict


class RunsFts(TypedDict, total=False):
    """Full-text index of ended runs; rowid is runs.id. Asked with MATCH, in FTS5's language."""

    raw_text: Annotated[str | None, "As runs.raw_text. NULL when none came."]


class PromptsFts(TypedDict, total=False):
    """Full-text index of prompts; rowid is prompts.id. Asked with MATCH, in FTS5's language."""

    text: Annotated[str | None, "As prompts.text; never NULL."]
