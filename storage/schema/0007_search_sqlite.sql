-- Only on SQLite. The index holds which row has which word and nothing else; ascii leaves all other letters alone.
CREATE VIRTUAL TABLE search_words USING fts5(words, content='search_docs', content_rowid='id', tokenize='ascii', detail='none', columnsize=0);
CREATE TRIGGER search_docs_insert AFTER INSERT ON search_docs BEGIN INSERT INTO search_words (rowid, words) VALUES (new.id, new.words); END;
CREATE TRIGGER search_docs_delete AFTER DELETE ON search_docs BEGIN INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', old.id, old.words); END;
