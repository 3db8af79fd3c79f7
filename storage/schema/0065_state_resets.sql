-- Pieces of a room's current state that state resolution put back, though nobody who may took them away: see storage/resets.go.
CREATE TABLE state_resets (
	room      BIGINT NOT NULL,
	pos       BIGINT NOT NULL,
	state_key BIGINT NOT NULL,
	event     BIGINT NOT NULL,
	was       BIGINT NOT NULL,
	now       BIGINT NOT NULL,
	ts        BIGINT NOT NULL,
	PRIMARY KEY (room, pos, state_key)
){{norowid}};
