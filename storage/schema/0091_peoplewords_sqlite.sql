-- The words by which people are found (users.id_words and name_words, remote_names.words), by the person's number. Without this
-- each search of the user directory read every name that the installation knows.
CREATE VIRTUAL TABLE people_words USING fts5(words, content='', tokenize='ascii', detail='none', columnsize=0);
CREATE TRIGGER users_words_insert AFTER INSERT ON users BEGIN INSERT INTO people_words (rowid, words) VALUES (new.nid, new.id_words || new.name_words); END;
CREATE TRIGGER users_words_delete AFTER DELETE ON users BEGIN INSERT INTO people_words (people_words, rowid, words) VALUES ('delete', old.nid, old.id_words || old.name_words); END;
CREATE TRIGGER users_words_update AFTER UPDATE OF id_words, name_words ON users BEGIN INSERT INTO people_words (people_words, rowid, words) VALUES ('delete', old.nid, old.id_words || old.name_words); INSERT INTO people_words (rowid, words) VALUES (new.nid, new.id_words || new.name_words); END;
CREATE TRIGGER remote_names_words_insert AFTER INSERT ON remote_names BEGIN INSERT INTO people_words (rowid, words) VALUES (new.usr, new.words); END;
CREATE TRIGGER remote_names_words_delete AFTER DELETE ON remote_names BEGIN INSERT INTO people_words (people_words, rowid, words) VALUES ('delete', old.usr, old.words); END;
CREATE TRIGGER remote_names_words_update AFTER UPDATE OF words ON remote_names BEGIN INSERT INTO people_words (people_words, rowid, words) VALUES ('delete', old.usr, old.words); INSERT INTO people_words (rowid, words) VALUES (new.usr, new.words); END;
INSERT INTO people_words (rowid, words) SELECT nid, id_words || name_words FROM users UNION ALL SELECT usr, words FROM remote_names;
