-- Full-text search over prompts and over what models wrote.
--
-- Both indexes read their text from the tables (`content`), so no text is stored twice. Their names
-- are those by which sqlite-utils and Datasette find them. A run is indexed when it has ended, not
-- at each piece of its text: until then the text changes several times a second.

CREATE VIRTUAL TABLE runs_fts USING fts5 (
    raw_text, tokenize='porter unicode61 remove_diacritics 2', content="runs", content_rowid="id"
);
CREATE VIRTUAL TABLE prompts_fts USING fts5 (
    text, tokenize='porter unicode61 remove_diacritics 2', content="prompts", content_rowid="id"
);

-- An external-content index is told to forget a row by inserting 'delete' with the old text.
CREATE TRIGGER runs_fts_insert AFTER INSERT ON runs
WHEN new.outcome IS NOT NULL AND new.raw_text IS NOT NULL
BEGIN
    INSERT INTO runs_fts (rowid, raw_text) SELECT new.id, new.raw_text;
END;
CREATE TRIGGER runs_fts_delete AFTER DELETE ON runs
WHEN old.outcome IS NOT NULL AND old.raw_text IS NOT NULL
BEGIN
    INSERT INTO runs_fts (runs_fts, rowid, raw_text) SELECT 'delete', old.id, old.raw_text;
END;
CREATE TRIGGER runs_fts_update AFTER UPDATE OF outcome, raw_text ON runs
WHEN old.outcome IS NOT NULL OR new.outcome IS NOT NULL
BEGIN
    INSERT INTO runs_fts (runs_fts, rowid, raw_text) SELECT 'delete', old.id, old.raw_text
        WHERE old.outcome IS NOT NULL AND old.raw_text IS NOT NULL;
    INSERT INTO runs_fts (rowid, raw_text) SELECT new.id, new.raw_text
        WHERE new.outcome IS NOT NULL AND new.raw_text IS NOT NULL;
END;
CREATE TRIGGER prompts_fts_insert AFTER INSERT ON prompts
BEGIN
    INSERT INTO prompts_fts (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER prompts_fts_delete AFTER DELETE ON prompts
BEGIN
    INSERT INTO prompts_fts (prompts_fts, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER prompts_fts_update AFTER UPDATE OF text ON prompts
BEGIN
    INSERT INTO prompts_fts (prompts_fts, rowid, text) VALUES ('delete', old.id, old.text);
    INSERT INTO prompts_fts (rowid, text) VALUES (new.id, new.text);
END;
