-- Sets of other servers, as they were in rooms. id: hash of the names; names: sorted, with spaces between them.
CREATE TABLE server_sets (
	id    {{bytes}} NOT NULL PRIMARY KEY,
	names TEXT NOT NULL
){{norowid}};

-- What other servers are to be told, in the order of the stream: an event (event <> 0, edu = '') or a message that must
-- arrive (edu, body). origin: which of our servers says it; targets: a set of servers; extra: one server besides, or ''.
CREATE TABLE outbox (
	pos     BIGINT NOT NULL,
	part    BIGINT NOT NULL,
	event   BIGINT NOT NULL,
	room    BIGINT NOT NULL,
	origin  TEXT NOT NULL,
	targets {{bytes}} NOT NULL,
	extra   TEXT NOT NULL,
	edu     TEXT NOT NULL,
	body    {{bytes}} NOT NULL,
	PRIMARY KEY (pos, part)
){{norowid}};

-- How far each other server has been told. pos: all before has arrived. txn, flight: the transaction under way, '' and
-- empty when there is none; flight_pos: how far it goes. since: when it began to fail, 0 while it does not.
CREATE TABLE destinations (
	origin     TEXT NOT NULL,
	server     TEXT NOT NULL,
	pos        BIGINT NOT NULL,
	txn        TEXT NOT NULL,
	flight_pos BIGINT NOT NULL,
	flight     {{bytes}} NOT NULL,
	since      BIGINT NOT NULL,
	retry      BIGINT NOT NULL,
	success    BIGINT NOT NULL,
	reason     TEXT NOT NULL,
	PRIMARY KEY (origin, server)
){{norowid}};

-- Work that one node does for all. until: when the holder loses it unless it renews.
CREATE TABLE leases (
	name   TEXT NOT NULL PRIMARY KEY,
	holder BIGINT NOT NULL,
	until  BIGINT NOT NULL
){{norowid}};
