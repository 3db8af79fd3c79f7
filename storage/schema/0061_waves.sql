-- Transactions under way that say the same to many servers: kept once instead of with each destination, until the destinations are
-- written themselves. id: their transaction id; flight_pos, flight: as in destinations; servers: names with spaces between them.
CREATE TABLE waves (
	id         TEXT NOT NULL PRIMARY KEY,
	origin     TEXT NOT NULL,
	flight_pos BIGINT NOT NULL,
	flight     {{bytes}} NOT NULL,
	servers    TEXT NOT NULL
){{norowid}};
