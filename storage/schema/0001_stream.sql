-- The stream: one row that is at once the last position, the epoch and the lock that keeps commits in order.
CREATE TABLE stream (
	id    {{int}} NOT NULL PRIMARY KEY,
	pos   BIGINT NOT NULL,
	epoch BIGINT NOT NULL
);
INSERT INTO stream (id, pos, epoch) VALUES (1, 0, 1);

-- Blocks of interned numbers, handed to processes.
CREATE TABLE counters (
	name TEXT NOT NULL PRIMARY KEY,
	next BIGINT NOT NULL
){{norowid}};

-- The last batch that each running process committed: tells the outcome of a commit whose answer was lost.
CREATE TABLE nodes (
	node  BIGINT NOT NULL PRIMARY KEY,
	batch BIGINT NOT NULL,
	seen  BIGINT NOT NULL
){{norowid}};

-- What entered the live stream, in order. kind: see storage.Kind.
CREATE TABLE changes (
	pos  {{int}} NOT NULL PRIMARY KEY,
	kind BIGINT NOT NULL,
	room BIGINT NOT NULL,
	usr  BIGINT NOT NULL
);
CREATE INDEX changes_user ON changes (usr, pos) WHERE usr <> 0;

-- Interned names. nid 0 is never used.
CREATE TABLE user_ids (
	nid     {{int}} NOT NULL PRIMARY KEY,
	user_id TEXT NOT NULL UNIQUE
);
CREATE TABLE state_keys (
	nid  {{int}} NOT NULL PRIMARY KEY,
	type TEXT NOT NULL,
	skey TEXT NOT NULL,
	UNIQUE (type, skey)
);
