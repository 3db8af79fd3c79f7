-- What a connection of sliding sync was sent, as of some answer that the client proved to have. life: drawn anew whenever
-- the connection begins anew. body: see core/sync. used: in milliseconds.
CREATE TABLE sliding_connections (
	usr    BIGINT NOT NULL,
	device BIGINT NOT NULL,
	conn   TEXT NOT NULL,
	life   BIGINT NOT NULL,
	body   {{bytes}} NOT NULL,
	used   BIGINT NOT NULL,
	PRIMARY KEY (usr, device, conn)
){{norowid}};
CREATE INDEX sliding_connections_used ON sliding_connections (used);
