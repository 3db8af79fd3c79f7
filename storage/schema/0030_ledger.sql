-- The record of what left and who read what: a log that only grows, whose records are the leaves of a Merkle tree.
-- hashes: of the record and of the subtrees that it completes, from below, 32 bytes each; those below level 8 go when the
-- record is sealed away. items: the hashes of what a record stands for, 32 bytes each, under the root that it names.
CREATE TABLE ledger_records (
	n      {{int}} NOT NULL PRIMARY KEY,
	ts     BIGINT NOT NULL,
	body   {{bytes}} NOT NULL,
	hashes {{bytes}} NOT NULL,
	items  {{bytes}} NOT NULL
);
CREATE INDEX ledger_records_ts ON ledger_records (ts);

-- One row: how long the log is. edge: the hashes of its complete subtrees, the largest first.
CREATE TABLE ledger_head (
	id   {{int}} NOT NULL PRIMARY KEY,
	size BIGINT NOT NULL,
	ts   BIGINT NOT NULL,
	edge {{bytes}} NOT NULL
);

-- What records call people, rooms and files. alias: HMAC of the name under the row's key; who forgets the key forgets whom the
-- records mean. period: the month from which on the alias is used; it changes with it.
CREATE TABLE ledger_names (
	name   TEXT NOT NULL,
	period BIGINT NOT NULL,
	alias  {{bytes}} NOT NULL,
	secret {{bytes}} NOT NULL,
	PRIMARY KEY (name, period, alias)
){{norowid}};
CREATE INDEX ledger_names_alias ON ledger_names (alias);

-- In which blocks of 256 records a key occurs: the alias of a name, a server, a block whose outcomes are there.
CREATE TABLE ledger_index (
	key   {{bytes}} NOT NULL,
	block BIGINT NOT NULL,
	PRIMARY KEY (key, block)
){{norowid}};

-- Signed statements of how long the log was and of its root. note: with the signatures of its witnesses.
CREATE TABLE ledger_checkpoints (
	size BIGINT NOT NULL PRIMARY KEY,
	ts   BIGINT NOT NULL,
	root {{bytes}} NOT NULL,
	note {{bytes}} NOT NULL
){{norowid}};
INSERT INTO ledger_head (id, size, ts, edge) VALUES (1, 0, 0, CAST('' AS {{bytes}}));
