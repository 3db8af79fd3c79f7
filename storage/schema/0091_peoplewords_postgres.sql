-- The words by which people are found. Without these each search of the user directory read every name that the installation
-- knows. Why LTRIM: the texts begin with a space, and an empty word is refused.
SET LOCAL statement_timeout = 0;
CREATE FUNCTION people_vector(words TEXT) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN array_to_tsvector(string_to_array(LTRIM(words), ' '));
CREATE INDEX users_words ON users USING gin (people_vector(id_words || name_words)) WITH (fastupdate = on, gin_pending_list_limit = 256);
CREATE INDEX remote_names_words ON remote_names USING gin (people_vector(words)) WITH (fastupdate = on, gin_pending_list_limit = 256);
