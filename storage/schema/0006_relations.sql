-- Which event relates to which. target: hash of the id that is named; it need not be known. A redacted event relates to
-- nothing. pos: the relating event's place in the live stream, 0 for history.
CREATE TABLE relations (
	target   BIGINT NOT NULL,
	event    BIGINT NOT NULL,
	room     BIGINT NOT NULL,
	pos      BIGINT NOT NULL,
	rel_type TEXT NOT NULL,
	type     TEXT NOT NULL,
	sender   BIGINT NOT NULL,
	PRIMARY KEY (target, event)
){{norowid}};
CREATE INDEX relations_event ON relations (event);
CREATE INDEX relations_thread ON relations (room, target, pos) WHERE rel_type = 'm.thread';
