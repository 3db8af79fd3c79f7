-- Only on SQLite: messages to devices move to a table with rows of its own. In a table without them every message beyond
-- a thousand bytes, which most encrypted ones are, took a page for itself.
ALTER TABLE to_device RENAME TO to_device_before;
CREATE TABLE to_device (
	device BIGINT NOT NULL,
	pos    BIGINT NOT NULL,
	part   BIGINT NOT NULL,
	sender TEXT NOT NULL,
	type   TEXT NOT NULL,
	content BLOB NOT NULL,
	PRIMARY KEY (device, pos, part)
);
INSERT INTO to_device SELECT device, pos, part, sender, type, content FROM to_device_before;
DROP TABLE to_device_before;
