-- What was last told to other servers of the devices of our users. device_id: '' for the cross-signing keys. hash: of the
-- keys as they were told.
CREATE TABLE announced_devices (
	usr       BIGINT NOT NULL,
	device_id TEXT NOT NULL,
	hash      BIGINT NOT NULL,
	PRIMARY KEY (usr, device_id)
){{norowid}};
-- How far device lists of our users were looked at for that.
CREATE TABLE announced (
	id  {{int}} NOT NULL PRIMARY KEY,
	pos BIGINT NOT NULL
);
INSERT INTO announced (id, pos) VALUES (1, 0);

-- Device lists of users of other servers that are kept here. stream: the last change that their server told; pos: the
-- stream position when the list was fetched.
CREATE TABLE remote_devices (
	usr    BIGINT NOT NULL PRIMARY KEY,
	stream BIGINT NOT NULL,
	pos    BIGINT NOT NULL
){{norowid}};
