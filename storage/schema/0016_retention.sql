-- The stream's position at some instants (milliseconds), a row an hour: tells which entries of changes are how old.
CREATE TABLE stream_marks (
	ts  BIGINT NOT NULL PRIMARY KEY,
	pos BIGINT NOT NULL
){{norowid}};

-- The oldest version of a room's current state that is still kept; older ones were folded into it.
CREATE TABLE state_floors (
	room BIGINT NOT NULL PRIMARY KEY,
	seq  BIGINT NOT NULL
){{norowid}};
