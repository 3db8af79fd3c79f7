-- Permissions to be abroad: a person, a country, and from when up to and without when (milliseconds). approver: who gave it.
CREATE TABLE missions (
	nid      BIGINT NOT NULL PRIMARY KEY,
	tenant   BIGINT NOT NULL,
	user_id  TEXT NOT NULL,
	country  TEXT NOT NULL,
	since    BIGINT NOT NULL,
	until    BIGINT NOT NULL,
	approver TEXT NOT NULL,
	note     TEXT NOT NULL
);
CREATE INDEX missions_user ON missions (user_id);

-- Where other servers were found when they were dialled last. admitted: whether the policy of then admitted it (0 or 1).
CREATE TABLE server_places (
	server   TEXT NOT NULL PRIMARY KEY,
	address  TEXT NOT NULL,
	admitted BIGINT NOT NULL
){{norowid}};
