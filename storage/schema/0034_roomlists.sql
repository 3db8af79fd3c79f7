-- The rooms that a user is in, as of a position of the stream, for users who are in many: see storage/roomlists.go.
CREATE TABLE room_lists (
	usr  BIGINT NOT NULL PRIMARY KEY,
	pos  BIGINT NOT NULL,
	body {{bytes}} NOT NULL
){{norowid}};
