-- A room. heads: event numbers, 8 bytes each, big endian, ascending. notify and tnotify: how many events so far
-- notify by default, in all and within threads.
CREATE TABLE rooms (
	nid         {{int}} NOT NULL PRIMARY KEY,
	room_id     TEXT NOT NULL UNIQUE,
	room_version TEXT NOT NULL,
	created     BIGINT NOT NULL,
	version     BIGINT NOT NULL,
	heads       {{bytes}} NOT NULL,
	depth       BIGINT NOT NULL,
	state_seq   BIGINT NOT NULL,
	notify      BIGINT NOT NULL,
	tnotify     BIGINT NOT NULL,
	last_pos    BIGINT NOT NULL,
	public      BIGINT NOT NULL
);

-- An event. pos: its place in the live stream; 0 for backfilled history and outliers. branch, seq: the version of
-- the room's state before it; branch -1 when that is unknown. flags: see storage.EventFlag. thread: number of
-- the thread's root event, 0 in the main timeline. prev, auth: event numbers, 8 bytes each. chain, chain_seq: place in
-- the auth-chain index, 0 for message events.
CREATE TABLE events (
	nid       {{int}} NOT NULL PRIMARY KEY,
	room      BIGINT NOT NULL,
	pos       BIGINT NOT NULL,
	id_hash   BIGINT NOT NULL,
	sender    BIGINT NOT NULL,
	skey      BIGINT NOT NULL,
	branch    BIGINT NOT NULL,
	seq       BIGINT NOT NULL,
	depth     BIGINT NOT NULL,
	ts        BIGINT NOT NULL,
	flags     BIGINT NOT NULL,
	notify    BIGINT NOT NULL,
	tnotify   BIGINT NOT NULL,
	thread    BIGINT NOT NULL,
	chain     BIGINT NOT NULL,
	chain_seq BIGINT NOT NULL,
	prev      {{bytes}} NOT NULL,
	auth      {{bytes}} NOT NULL
);
CREATE INDEX events_id ON events (id_hash);
CREATE INDEX events_room ON events (room, pos);
CREATE INDEX events_history ON events (room, depth, nid) WHERE pos = 0;
CREATE INDEX events_chain ON events (chain, chain_seq) WHERE chain <> 0;
CREATE INDEX events_thread ON events (room, thread, pos) WHERE thread <> 0;

-- An event's id and the two forms of its JSON. redacted is NULL until a redaction took effect; redacted_by is its number.
CREATE TABLE event_json (
	nid         {{int}} NOT NULL PRIMARY KEY,
	id          TEXT NOT NULL,
	json        {{bytes}} NOT NULL,
	redacted    {{bytes}},
	redacted_by BIGINT NOT NULL DEFAULT 0
);

-- A redaction that came before its target.
CREATE TABLE pending_redactions (
	room      BIGINT NOT NULL,
	target    TEXT NOT NULL,
	redaction BIGINT NOT NULL,
	PRIMARY KEY (room, target, redaction)
){{norowid}};

-- Versions of state. Branch 0 is the room's resolved current state; all keys that one resolution changed carry one
-- seq. event 0 means that the key was removed. old: what stood there before on this branch (following its base).
-- pos: the stream position at which the row took effect, on branch 0.
CREATE TABLE state_rows (
	room   BIGINT NOT NULL,
	branch BIGINT NOT NULL,
	skey   BIGINT NOT NULL,
	seq    BIGINT NOT NULL,
	event  BIGINT NOT NULL,
	old    BIGINT NOT NULL,
	pos    BIGINT NOT NULL,
	PRIMARY KEY (room, branch, skey, seq)
){{norowid}};
CREATE INDEX state_rows_seq ON state_rows (room, branch, seq, skey, event, old);
CREATE INDEX state_rows_pos ON state_rows (room, pos) WHERE branch = 0;

-- A branch bears the number of the event that opened it. It starts at a version of another one; base_branch -1 for a
-- state that came whole from elsewhere.
CREATE TABLE branches (
	room        BIGINT NOT NULL,
	branch      BIGINT NOT NULL,
	base_branch BIGINT NOT NULL,
	base_seq    BIGINT NOT NULL,
	head_seq    BIGINT NOT NULL,
	PRIMARY KEY (room, branch)
){{norowid}};

-- Folded copies of the whole state at a version: pairs of state key and event number, 16 bytes each.
CREATE TABLE checkpoints (
	room   BIGINT NOT NULL,
	branch BIGINT NOT NULL,
	seq    BIGINT NOT NULL,
	body   {{bytes}} NOT NULL,
	PRIMARY KEY (room, branch, seq)
){{norowid}};

-- Links between auth chains: (chain, seq) reaches (to_chain, to_seq).
CREATE TABLE chain_links (
	room     BIGINT NOT NULL,
	chain    BIGINT NOT NULL,
	seq      BIGINT NOT NULL,
	to_chain BIGINT NOT NULL,
	to_seq   BIGINT NOT NULL,
	PRIMARY KEY (room, chain, seq, to_chain)
){{norowid}};

CREATE INDEX chain_links_to ON chain_links (room, to_chain, chain, to_seq, seq);

-- Who stands how to which room now: follows current state, never single events. membership: see storage.Membership.
CREATE TABLE memberships (
	usr        BIGINT NOT NULL,
	room       BIGINT NOT NULL,
	membership BIGINT NOT NULL,
	event      BIGINT NOT NULL,
	pos        BIGINT NOT NULL,
	forgotten  BIGINT NOT NULL,
	PRIMARY KEY (usr, room)
){{norowid}};
CREATE INDEX memberships_room ON memberships (room, membership, usr);

-- Transaction ids of clients. endpoint: hash of what the id is scoped to beside the device.
CREATE TABLE transactions (
	device   BIGINT NOT NULL,
	endpoint BIGINT NOT NULL,
	txn      TEXT NOT NULL,
	event    BIGINT NOT NULL,
	ts       BIGINT NOT NULL,
	PRIMARY KEY (device, endpoint, txn)
){{norowid}};
CREATE INDEX transactions_event ON transactions (event);

CREATE TABLE aliases (
	alias   TEXT NOT NULL PRIMARY KEY,
	room    BIGINT NOT NULL,
	creator BIGINT NOT NULL,
	tenant  BIGINT NOT NULL,
	ts      BIGINT NOT NULL
){{norowid}};
CREATE INDEX aliases_room ON aliases (room);
