"""The full-text indexes. SQLite's own tables for them, such as `runs_fts_data`, are not
described.
"""

from __future__ import annotations

from typing import Annotated, TypedDict


class RunsFts(TypedDict, total=False):
    """Full-text index of ended runs; rowid is runs.id. Queried with MATCH, in FTS5 syntax."""

    raw_text: Annotated[str | None, "As runs.raw_text. NULL when there was none."]


class PromptsFts(TypedDict, total=False):
    """Full-text index of prompts; rowid is prompts.id. Queried with MATCH, in FTS5 syntax."""

    text: Annotated[str | None, "As prompts.text; never NULL."]
