-- What is in rooms against the policy, until it is gone: a server with members (kind joined, subject its name), or a user of such a
-- server who is invited or knocks (kind invite, knock; subject his id). answer: what was done about it, '' for nothing.
CREATE TABLE closures (
	room    BIGINT NOT NULL,
	tenant  TEXT NOT NULL,
	subject TEXT NOT NULL,
	kind    TEXT NOT NULL,
	server  TEXT NOT NULL,
	rule    TEXT NOT NULL,
	answer  TEXT NOT NULL,
	since   BIGINT NOT NULL,
	PRIMARY KEY (room, tenant, subject)
){{norowid}};

-- What other servers would have been told of a room while it is frozen: sent when it is open again. dest: whom, origin: by which of ours.
CREATE TABLE held_events (
	room   BIGINT NOT NULL,
	event  BIGINT NOT NULL,
	origin TEXT NOT NULL,
	dest   TEXT NOT NULL,
	PRIMARY KEY (room, event, origin, dest)
){{norowid}};
