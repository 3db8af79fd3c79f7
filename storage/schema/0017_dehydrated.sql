-- The dehydrated device of a user (MSC3814), at most one: a device without a session, and what a later device needs to
-- become it for a moment, which is encrypted by the client.
CREATE TABLE dehydrated_devices (
	usr    BIGINT NOT NULL PRIMARY KEY,
	device BIGINT NOT NULL,
	data   {{bytes}} NOT NULL
){{norowid}};
CREATE INDEX dehydrated_devices_device ON dehydrated_devices (device);
