-- Events from other servers that were taken over and wait for their room. nid gives their order.
CREATE TABLE inbox (
	nid    {{int}} NOT NULL PRIMARY KEY,
	room   BIGINT NOT NULL,
	origin TEXT NOT NULL,
	event  TEXT NOT NULL,
	json   {{bytes}} NOT NULL,
	ts     BIGINT NOT NULL
);
CREATE UNIQUE INDEX inbox_event ON inbox (room, event, origin);
CREATE INDEX inbox_lane ON inbox (room, origin, nid);

-- What a room that this installation is not in showed of itself to a user who was invited or who knocked. event: the
-- membership event's number; stripped: JSON list of stripped state; via: servers that are in the room, by spaces.
CREATE TABLE outside_rooms (
	usr      BIGINT NOT NULL,
	room     BIGINT NOT NULL,
	event    BIGINT NOT NULL,
	stripped {{bytes}} NOT NULL,
	via      TEXT NOT NULL,
	PRIMARY KEY (usr, room)
){{norowid}};
