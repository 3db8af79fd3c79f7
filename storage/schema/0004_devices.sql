-- Identity keys of devices, as uploaded; pos: when they last changed.
CREATE TABLE device_keys (
	usr       BIGINT NOT NULL,
	device_id TEXT NOT NULL,
	body      {{bytes}} NOT NULL,
	PRIMARY KEY (usr, device_id)
){{norowid}};

-- The position at which a user's device list last changed.
CREATE TABLE device_lists (
	usr BIGINT NOT NULL PRIMARY KEY,
	pos BIGINT NOT NULL
){{norowid}};
CREATE INDEX device_lists_pos ON device_lists (pos);

-- Keys that are handed out once. seq keeps the order of upload. claimed: when it was handed out, 0 while it was not; a
-- claimed key stays for a while, so that a repeated upload cannot bring it back.
CREATE TABLE one_time_keys (
	device    BIGINT NOT NULL,
	algorithm TEXT NOT NULL,
	key_id    TEXT NOT NULL,
	seq       BIGINT NOT NULL,
	body      {{bytes}} NOT NULL,
	claimed   BIGINT NOT NULL,
	PRIMARY KEY (device, algorithm, key_id)
){{norowid}};
CREATE INDEX one_time_keys_order ON one_time_keys (device, algorithm, seq) WHERE claimed = 0;

CREATE TABLE fallback_keys (
	device    BIGINT NOT NULL,
	algorithm TEXT NOT NULL,
	key_id    TEXT NOT NULL,
	body      {{bytes}} NOT NULL,
	used      BIGINT NOT NULL,
	PRIMARY KEY (device, algorithm)
){{norowid}};

-- Messages for devices, until the device proves receipt by its next token.
CREATE TABLE to_device (
	device BIGINT NOT NULL,
	pos    BIGINT NOT NULL,
	part   BIGINT NOT NULL,
	sender TEXT NOT NULL,
	type   TEXT NOT NULL,
	content {{bytes}} NOT NULL,
	PRIMARY KEY (device, pos, part)
){{norowid}};

-- Cross-signing keys as uploaded; usage: master, self_signing or user_signing.
CREATE TABLE cross_signing_keys (
	usr   BIGINT NOT NULL,
	usage  TEXT NOT NULL,
	key_id TEXT NOT NULL,
	body  {{bytes}} NOT NULL,
	PRIMARY KEY (usr, usage)
){{norowid}};

-- Signatures on device and cross-signing keys that were uploaded apart from the key. target is a device id or the
-- public part of a cross-signing key.
CREATE TABLE key_signatures (
	usr       BIGINT NOT NULL,
	target    TEXT NOT NULL,
	signer    BIGINT NOT NULL,
	key_id    TEXT NOT NULL,
	signature TEXT NOT NULL,
	PRIMARY KEY (usr, target, signer, key_id)
){{norowid}};

-- Key backups. etag: grows with every change. deleted versions keep their row so that numbers never return.
CREATE TABLE key_backups (
	usr       BIGINT NOT NULL,
	version   BIGINT NOT NULL,
	algorithm TEXT NOT NULL,
	auth_data {{bytes}} NOT NULL,
	etag      BIGINT NOT NULL,
	deleted   BIGINT NOT NULL,
	PRIMARY KEY (usr, version)
){{norowid}};
CREATE TABLE key_backup_sessions (
	usr        BIGINT NOT NULL,
	version    BIGINT NOT NULL,
	room_id    TEXT NOT NULL,
	session_id TEXT NOT NULL,
	verified   BIGINT NOT NULL,
	first_index BIGINT NOT NULL,
	forwarded  BIGINT NOT NULL,
	body       {{bytes}} NOT NULL,
	PRIMARY KEY (usr, version, room_id, session_id)
){{norowid}};
