"""Finds words in answers and prompts with SQLite's full-text index.

Plain words are searched literally, special characters included; only a query marked as
FTS5's own is parsed as such. The index is `migrations/initial/search.sql`.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import QueryError
from .reader import Reader

PHRASES = re.compile(r'"([^"]*)"|(\S+)')
WORD = re.compile(r"\w")
MARKS = ("[", "]")
AROUND = 24  # words of a snippet
MOST = 50
LONGEST = 20_000  # characters: SQLite takes the square of the hits' number to choose a snippet

ANSWERS = """
SELECT 'answer' AS found_in, ifnull(sweeps.name, sweeps.uid) AS sweep, sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    CASE WHEN length(runs.raw_text) > :longest THEN substr(runs.raw_text, 1, 200) || '…'
        ELSE snippet(runs_fts, 0, :on, :off, '…', :around) END AS text,
    runs.outcome, runs.attempt, runs.id AS run, jobs.sweep_id, prompts.id AS prompt_id
FROM runs_fts CROSS JOIN runs ON runs.id = runs_fts.rowid
CROSS JOIN jobs ON jobs.id = runs.job_id
JOIN sweeps ON sweeps.id = jobs.sweep_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
WHERE runs_fts MATCH :words AND runs_fts.rowid BETWEEN :first AND :last
    AND (:sweep IS NULL OR jobs.sweep_id = :sweep)
ORDER BY runs_fts.rowid DESC LIMIT :limit
"""
PROMPTS = """
SELECT 'prompt' AS found_in, NULL AS sweep, NULL AS model, NULL AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    CASE WHEN length(prompts.text) > :longest THEN substr(prompts.text, 1, 200) || '…'
        ELSE snippet(prompts_fts, 0, :on, :off, '…', :around) END AS text,
    NULL AS outcome, NULL AS attempt, NULL AS run, NULL AS sweep_id, prompts.id AS prompt_id
FROM prompts_fts JOIN prompts ON prompts.id = prompts_fts.rowid
WHERE prompts_fts MATCH :words AND (:sweep IS NULL OR EXISTS (
    SELECT 1 FROM jobs WHERE sweep_id = :sweep AND prompt_id = prompts.id))
ORDER BY prompts_fts.rowid DESC LIMIT :limit
"""
SPAN = """
SELECT min(runs.id) AS first, max(runs.id) AS last
FROM jobs JOIN runs ON runs.job_id = jobs.id WHERE sweep_id = ?
"""


def search(
    reader: Reader, words: str, *, raw: bool = False, sweep: int | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """Returns texts with all the words: prompts, then answers, newest first.

    At most `limit` of each.

    `"two words"` in quotes are looked for side by side. With `raw` the words are a query in FTS5's
    own language. Raises QueryError when there is nothing to look for, or `raw` is none.
    """
    span = {"first": 0, "last": 2**62}
    if sweep is not None:
        span = {key: value or 0 for key, value in reader.records(SPAN, sweep)[0].items()}
    values: dict[str, Any] = {"words": words if raw else as_query(words), "sweep": sweep, **span}
    values |= {"on": MARKS[0], "off": MARKS[1], "around": AROUND, "longest": LONGEST}
    values["limit"] = limit
    try:
        return reader.records_with_parameters(PROMPTS, values) + reader.records_with_parameters(
            ANSWERS, values
        )
    except QueryError as error:
        if raw and (cause := error.__cause__) is not None and "took over" not in error.message:
            raise QueryError(
                f"FTS5 cannot read {words!r}: {cause}",
                hint="leave --fts out to look for the words as they are",
            ) from error
        raise


def as_query(words: str) -> str:
    """Plain words as a query of FTS5: each once and in quotes, all of them wanted."""
    parts = [phrase or word for phrase, word in PHRASES.findall(words.replace("\x00", " "))]
    wanted = list(dict.fromkeys(p.replace('"', '""').lower() for p in parts if WORD.search(p)))
    if not wanted:
        raise QueryError(f"there is no word to look for in {words!r}")
    if len(wanted) > MOST:  # highlighting every pair of words takes SQLite very long
        raise QueryError(f"{len(wanted)} words are more than the {MOST} that can be looked for")
    return " ".join(f'"{part}"' for part in wanted)
