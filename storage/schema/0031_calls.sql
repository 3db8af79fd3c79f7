-- Who a participant of a call is: the media server knows him by the alias of the room and an identity alone, both of them
-- hashes. Written with each token; expires: when the row may be forgotten.
CREATE TABLE call_grants (
	alias    TEXT NOT NULL,
	identity TEXT NOT NULL,
	room     TEXT NOT NULL,
	usr      TEXT NOT NULL,
	device   TEXT NOT NULL,
	expires  BIGINT NOT NULL,
	PRIMARY KEY (alias, identity)
){{norowid}};
CREATE INDEX call_grants_expires ON call_grants (expires);
