-- Pushers: where users want to be notified. nid: names it for its progress. device: the device that set it, session: the
-- session, which counts where there is no device. data: the pusher's own JSON; url: the gateway, taken from there. pos: the
-- place in the stream at which it began. set_at: when it was last set, in milliseconds.
CREATE TABLE pushers (
	usr         BIGINT NOT NULL,
	app_id      TEXT NOT NULL,
	pushkey     TEXT NOT NULL,
	nid         BIGINT NOT NULL UNIQUE,
	tenant      BIGINT NOT NULL,
	device      BIGINT NOT NULL,
	session     BIGINT NOT NULL,
	kind        TEXT NOT NULL,
	url         TEXT NOT NULL,
	app_name    TEXT NOT NULL,
	device_name TEXT NOT NULL,
	profile_tag TEXT NOT NULL,
	lang        TEXT NOT NULL,
	data        {{bytes}} NOT NULL,
	enabled     BIGINT NOT NULL,
	set_at      BIGINT NOT NULL,
	pos         BIGINT NOT NULL,
	PRIMARY KEY (usr, app_id, pushkey)
){{norowid}};
CREATE INDEX pushers_key ON pushers (pushkey, app_id);

-- How far each pusher has been told. behind: everything up to here has, and there is more; 0: it is as far as the common
-- cursor. since: when its gateway began to fail, 0 while it does not. retry: when it is tried next.
CREATE TABLE pusher_progress (
	pusher  BIGINT NOT NULL PRIMARY KEY,
	behind  BIGINT NOT NULL,
	since   BIGINT NOT NULL,
	retry   BIGINT NOT NULL,
	success BIGINT NOT NULL,
	reason  TEXT NOT NULL
){{norowid}};

-- The common cursor: up to here the stream was read for all pushers.
CREATE TABLE push_cursor (
	id  BIGINT NOT NULL PRIMARY KEY,
	pos BIGINT NOT NULL
){{norowid}};

-- What one event counts for all who differ.
CREATE INDEX push_hits_event ON push_hits (room, pos);
