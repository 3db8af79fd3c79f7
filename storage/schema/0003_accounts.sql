-- Organisations of this installation and the server names they own.
CREATE TABLE tenants (
	nid  {{int}} NOT NULL PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
);
CREATE TABLE server_names (
	name   TEXT NOT NULL PRIMARY KEY,
	tenant BIGINT NOT NULL
){{norowid}};

-- Local accounts. nid is that of user_ids. flags: see storage.UserFlag. password: a PHC string, '' for none. id_words,
-- name_words: localpart and display name in folded words, each behind a space.
CREATE TABLE users (
	nid          {{int}} NOT NULL PRIMARY KEY,
	tenant       BIGINT NOT NULL,
	password     TEXT NOT NULL,
	flags        BIGINT NOT NULL,
	created      BIGINT NOT NULL,
	display_name TEXT NOT NULL,
	avatar_url   TEXT NOT NULL,
	appservice   TEXT NOT NULL,
	id_words     TEXT NOT NULL,
	name_words   TEXT NOT NULL
);

-- Further profile fields (MSC4133, v1.16); value is JSON.
CREATE TABLE profile_fields (
	usr   BIGINT NOT NULL,
	name  TEXT NOT NULL,
	value {{bytes}} NOT NULL,
	PRIMARY KEY (usr, name)
){{norowid}};

CREATE TABLE devices (
	nid          {{int}} NOT NULL PRIMARY KEY,
	usr          BIGINT NOT NULL,
	device_id    TEXT NOT NULL,
	display_name TEXT NOT NULL,
	created      BIGINT NOT NULL,
	UNIQUE (usr, device_id)
);

-- Sessions: access tokens, hashed (SHA-256), apart from devices. parent: the session that this one was refreshed from,
-- until this one is used; 0 otherwise.
CREATE TABLE sessions (
	nid          {{int}} NOT NULL PRIMARY KEY,
	usr          BIGINT NOT NULL,
	device       BIGINT NOT NULL,
	tenant       BIGINT NOT NULL,
	token_hash   {{bytes}} NOT NULL UNIQUE,
	refresh_hash {{bytes}},
	parent       BIGINT NOT NULL,
	scopes       TEXT NOT NULL,
	client_id    TEXT NOT NULL,
	created      BIGINT NOT NULL,
	expires      BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (usr);
CREATE INDEX sessions_device ON sessions (device);
CREATE INDEX sessions_refresh ON sessions (refresh_hash) WHERE refresh_hash IS NOT NULL;
CREATE INDEX sessions_parent ON sessions (parent) WHERE parent <> 0;

-- When a session was last used, and from where; written in bulk, at most once a minute for each session.
CREATE TABLE session_seen (
	session    BIGINT NOT NULL PRIMARY KEY,
	ts         BIGINT NOT NULL,
	ip         TEXT NOT NULL,
	user_agent TEXT NOT NULL
){{norowid}};

CREATE TABLE registration_tokens (
	token        TEXT NOT NULL PRIMARY KEY,
	tenant       BIGINT NOT NULL,
	uses_allowed BIGINT NOT NULL,
	pending      BIGINT NOT NULL,
	completed    BIGINT NOT NULL,
	expires      BIGINT NOT NULL
){{norowid}};

-- User-interactive authentication in progress. body: JSON of what the session is for and which stages are done.
CREATE TABLE uia_sessions (
	id      TEXT NOT NULL PRIMARY KEY,
	body    {{bytes}} NOT NULL,
	created BIGINT NOT NULL
){{norowid}};

CREATE INDEX uia_sessions_created ON uia_sessions (created);

-- Stored filters; hash: of the canonical body, so that the same filter is stored once.
CREATE TABLE filters (
	usr  BIGINT NOT NULL,
	id   BIGINT NOT NULL,
	hash BIGINT NOT NULL,
	body {{bytes}} NOT NULL,
	PRIMARY KEY (usr, id)
){{norowid}};
CREATE INDEX filters_hash ON filters (usr, hash);

-- Account data; room 0 is global. Push rules are the type m.push_rules, absent while they are the defaults.
CREATE TABLE account_data (
	usr     BIGINT NOT NULL,
	room    BIGINT NOT NULL,
	type    TEXT NOT NULL,
	content {{bytes}} NOT NULL,
	pos     BIGINT NOT NULL,
	PRIMARY KEY (usr, room, type)
){{norowid}};
CREATE INDEX account_data_pos ON account_data (usr, pos);

-- One row for each administrator's act.
CREATE TABLE audit (
	nid    {{int}} NOT NULL PRIMARY KEY,
	ts     BIGINT NOT NULL,
	tenant BIGINT NOT NULL,
	admin  TEXT NOT NULL,
	act    TEXT NOT NULL,
	target TEXT NOT NULL,
	detail {{bytes}} NOT NULL
);

-- Background jobs with leases.
CREATE TABLE jobs (
	nid     {{int}} NOT NULL PRIMARY KEY,
	kind    TEXT NOT NULL,
	body    {{bytes}} NOT NULL,
	due     BIGINT NOT NULL,
	holder  BIGINT NOT NULL,
	lease   BIGINT NOT NULL,
	tries   BIGINT NOT NULL,
	error   TEXT NOT NULL
);
CREATE INDEX jobs_due ON jobs (due);
