-- Receipts: the newest of each (room, user, type, thread). thread '' is unthreaded, 'main' the main timeline, otherwise
-- the id of the thread's root. event_pos, notify, tnotify: copied from the event it points to. The type 'own' is not
-- shown to anybody (pos 0) and names a thread by the number of its root: what a user has sent he has read.
CREATE TABLE receipts (
	room      BIGINT NOT NULL,
	usr       BIGINT NOT NULL,
	type      TEXT NOT NULL,
	thread    TEXT NOT NULL,
	event_id  TEXT NOT NULL,
	event_pos BIGINT NOT NULL,
	notify    BIGINT NOT NULL,
	tnotify   BIGINT NOT NULL,
	ts        BIGINT NOT NULL,
	pos       BIGINT NOT NULL,
	PRIMARY KEY (room, usr, type, thread)
){{norowid}};
CREATE INDEX receipts_pos ON receipts (room, pos) WHERE pos > 0;

-- Corrections of the derived counts: events where a user's outcome differs from the default of the event.
-- usr 0: everybody. notify: -1, 0 or +1 against the default; highlight: -1, 0 or 1. thread: number of the thread's
-- root event or 0.
CREATE TABLE push_hits (
	usr       BIGINT NOT NULL,
	room      BIGINT NOT NULL,
	pos       BIGINT NOT NULL,
	thread    BIGINT NOT NULL,
	notify    BIGINT NOT NULL,
	highlight BIGINT NOT NULL,
	PRIMARY KEY (usr, room, pos)
){{norowid}};
