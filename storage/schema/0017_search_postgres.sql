-- Only on PostgreSQL. Its index knows no order; so each row has, among its words, a mark of the stretch of 4096 ids that it
-- stands in, and the newest rows with some words are asked for stretch by stretch.
ALTER TABLE search_docs DROP COLUMN index_words;
ALTER TABLE search_docs ADD COLUMN index_words tsvector GENERATED ALWAYS AS
	(array_to_tsvector(string_to_array(words, ' ') || (chr(57346) || to_hex(id >> 12)))) STORED;
CREATE INDEX search_words ON search_docs USING gin (index_words) WITH (fastupdate = off);
