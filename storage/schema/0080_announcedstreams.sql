-- The number of the last change of a user's devices that other servers were told (stream_id), so that the next names it.
CREATE TABLE announced_streams (
	usr    BIGINT NOT NULL PRIMARY KEY,
	stream BIGINT NOT NULL
){{norowid}};
