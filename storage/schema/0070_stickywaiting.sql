-- Sticky events that were soft-failed, until expires: they are judged again when their sender's membership changes (MSC4354).
CREATE TABLE sticky_waiting (
	room    BIGINT NOT NULL,
	sender  BIGINT NOT NULL,
	event   BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	PRIMARY KEY (room, sender, event)
){{norowid}};
