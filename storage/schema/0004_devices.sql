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

-- Keys that are handed out once. seq keeps the order of upload.
CREATE TABLE one_time_keys (
	device    BIGINT NOT NULL,
	algorithm TEXT NOT NULL,
	key_id    TEXT NOT NULL,
	seq       BIGINT NOT NULL,
	body      {{bytes}} NOT NULL,
	PRIMARY KEY (device, algorithm, key_id)
){{norowid}};
CREATE INDEX one_time_keys_order ON one_time_keys (device, algorithm, seq);

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
