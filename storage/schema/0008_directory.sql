-- What users of other servers are called, after their last membership event that says so. words: as in users.
CREATE TABLE remote_names (
	usr          BIGINT NOT NULL PRIMARY KEY,
	display_name TEXT NOT NULL,
	avatar_url   TEXT NOT NULL,
	words        TEXT NOT NULL
){{norowid}};

-- What users reported: a queue for moderators. room and target are 0 where the report is of something else; event is an
-- event id or ''. closed: when a moderator was done with it, 0 until then.
CREATE TABLE reports (
	nid      {{int}} NOT NULL PRIMARY KEY,
	ts       BIGINT NOT NULL,
	tenant   BIGINT NOT NULL,
	reporter BIGINT NOT NULL,
	room     BIGINT NOT NULL,
	event    TEXT NOT NULL,
	target   BIGINT NOT NULL,
	reason   TEXT NOT NULL,
	score    BIGINT NOT NULL,
	closed   BIGINT NOT NULL
);
CREATE INDEX reports_open ON reports (tenant, nid) WHERE closed = 0;
CREATE INDEX reports_by ON reports (reporter, ts);
