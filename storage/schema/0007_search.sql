-- What is found by its words. id: the event's place in the live stream; history from before it has negative ones (see
-- storage.SearchRow). field: which part of the content. words: folded, one space between two, with marks of the room
-- and the sender as words of their own. The index over words is the engine's: files 0007_search_*.
CREATE TABLE search_docs (
	id    {{int}} NOT NULL PRIMARY KEY,
	event BIGINT NOT NULL,
	room  BIGINT NOT NULL,
	field BIGINT NOT NULL,
	words TEXT NOT NULL
);
