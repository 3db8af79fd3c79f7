-- Only on PostgreSQL. Its index knows no order; so each row has, among its words, marks of the stretches of ids that it
-- stands in, of 2^12 to 2^22 ids, and the newest rows with some words are asked for stretch by stretch.
ALTER TABLE search_docs DROP COLUMN index_words;
ALTER TABLE search_docs ADD COLUMN index_words tsvector GENERATED ALWAYS AS
	(array_to_tsvector(string_to_array(words, ' ') || ARRAY[
		chr(57346) || 'a' || to_hex(id >> 12), chr(57346) || 'b' || to_hex(id >> 14), chr(57346) || 'c' || to_hex(id >> 16),
		chr(57346) || 'd' || to_hex(id >> 18), chr(57346) || 'e' || to_hex(id >> 20), chr(57346) || 'f' || to_hex(id >> 22)])) STORED;
CREATE INDEX search_words ON search_docs USING gin (index_words) WITH (fastupdate = off);
