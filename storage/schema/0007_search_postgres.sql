-- Only on PostgreSQL. Words are no natural language to it: they were cut and folded before.
-- Why no pending list: whoever fills it up would wait for all others' words to be sorted in.
ALTER TABLE search_docs ADD COLUMN index_words tsvector
	GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED;
CREATE INDEX search_words ON search_docs USING gin (index_words) WITH (fastupdate = off);
