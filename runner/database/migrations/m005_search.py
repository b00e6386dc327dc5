"""Full-text search over prompts and over what models said.

Both indexes take their text from the tables themselves, so that no text is stored twice, and are
named so that sqlite-utils and Datasette find them. A run is indexed when it has ended, not at
each piece of its text: until then its words still change several times a second.
"""

from __future__ import annotations

WORDS = "porter unicode61 remove_diacritics 2"

RUNS = f"""
CREATE VIRTUAL TABLE runs_fts USING fts5 (raw_text, tokenize='{WORDS}', content="runs",
    content_rowid="id")
"""
PROMPTS = f"""
CREATE VIRTUAL TABLE prompts_fts USING fts5 (text, tokenize='{WORDS}', content="prompts",
    content_rowid="id")
"""
ENDED = "{0}.outcome IS NOT NULL AND {0}.raw_text IS NOT NULL"
FORGET_RUN = (
    "INSERT INTO runs_fts (runs_fts, rowid, raw_text) SELECT 'delete', old.id, old.raw_text"
)
LEARN_RUN = "INSERT INTO runs_fts (rowid, raw_text) SELECT new.id, new.raw_text"
FORGET_PROMPT = (
    "INSERT INTO prompts_fts (prompts_fts, rowid, text) VALUES ('delete', old.id, old.text)"
)
LEARN_PROMPT = "INSERT INTO prompts_fts (rowid, text) VALUES (new.id, new.text)"

STATEMENTS = (
    RUNS,
    PROMPTS,
    f"{LEARN_RUN} FROM runs AS new WHERE {ENDED.format('new')}",
    "INSERT INTO prompts_fts (rowid, text) SELECT id, text FROM prompts",
    f"""
    CREATE TRIGGER runs_fts_insert AFTER INSERT ON runs WHEN {ENDED.format("new")}
    BEGIN {LEARN_RUN}; END
    """,
    f"""
    CREATE TRIGGER runs_fts_delete AFTER DELETE ON runs WHEN {ENDED.format("old")}
    BEGIN {FORGET_RUN}; END
    """,
    f"""
    CREATE TRIGGER runs_fts_update AFTER UPDATE OF outcome, raw_text ON runs
    WHEN old.outcome IS NOT NULL OR new.outcome IS NOT NULL
    BEGIN
        {FORGET_RUN} WHERE {ENDED.format("old")};
        {LEARN_RUN} WHERE {ENDED.format("new")};
    END
    """,
    f"CREATE TRIGGER prompts_fts_insert AFTER INSERT ON prompts BEGIN {LEARN_PROMPT}; END",
    f"CREATE TRIGGER prompts_fts_delete AFTER DELETE ON prompts BEGIN {FORGET_PROMPT}; END",
    f"""
    CREATE TRIGGER prompts_fts_update AFTER UPDATE OF text ON prompts
    BEGIN {FORGET_PROMPT}; {LEARN_PROMPT}; END
    """,
)
