-- Events that clients get whatever the length of their timeline, until expires (MSC4354).
CREATE TABLE sticky_events (
	room    BIGINT NOT NULL,
	pos     BIGINT NOT NULL,
	event   BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	PRIMARY KEY (room, pos)
){{norowid}};
CREATE INDEX sticky_events_expires ON sticky_events (expires);
