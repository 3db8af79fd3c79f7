-- Public keys of other servers. valid_until: until when the key signs, as its server said last; expired: when an old
-- key stopped to sign, 0 for one in use.
CREATE TABLE server_keys (
	server      TEXT NOT NULL,
	key_id      TEXT NOT NULL,
	public      {{bytes}} NOT NULL,
	valid_until BIGINT NOT NULL,
	expired     BIGINT NOT NULL,
	PRIMARY KEY (server, key_id)
){{norowid}};
