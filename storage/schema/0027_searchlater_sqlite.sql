-- Only on SQLite. What is said live enters the index of words a moment later, many at once (storage.searchIndexer):
-- search_indexed is the last id that is in it. History, whose ids are negative and out of order, comes in bulk and
-- enters at once.
DROP TRIGGER search_docs_insert;
DROP TRIGGER search_docs_delete;
CREATE TABLE search_indexed (
	id   BIGINT NOT NULL PRIMARY KEY,
	live BIGINT NOT NULL
);
INSERT INTO search_indexed (id, live) SELECT 1, COALESCE(MAX(id), 0) FROM search_docs WHERE id > 0;
CREATE TRIGGER search_docs_insert AFTER INSERT ON search_docs WHEN new.id < 0 BEGIN INSERT INTO search_words (rowid, words) VALUES (new.id, new.words); END;
CREATE TRIGGER search_docs_delete AFTER DELETE ON search_docs WHEN old.id <= (SELECT live FROM search_indexed) BEGIN INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', old.id, old.words); END;
