-- Limits of single users, in the place of those of the rate-limit classes. per_second 0: no limit at all.
CREATE TABLE rate_overrides (
	usr        {{int}} NOT NULL PRIMARY KEY,
	per_second BIGINT NOT NULL,
	burst      BIGINT NOT NULL
);

-- Rooms that users of this installation may not enter, known here or not.
CREATE TABLE blocked_rooms (
	room_id TEXT NOT NULL PRIMARY KEY,
	admin   TEXT NOT NULL,
	ts      BIGINT NOT NULL
){{norowid}};

-- Rooms that were removed, for clients that have not heard yet that they left. The rows of our users' memberships stay as long.
CREATE TABLE gone_rooms (
	nid     {{int}} NOT NULL PRIMARY KEY,
	room_id TEXT NOT NULL,
	ts      BIGINT NOT NULL
);

-- Long work that administrators asked for, and how it went. Its job (kind "admin") is there while it is not done.
-- status: scheduled, active, complete or failed; body and result: JSON, as the action defines.
CREATE TABLE admin_tasks (
	id       TEXT NOT NULL PRIMARY KEY,
	tenant   BIGINT NOT NULL,
	admin    TEXT NOT NULL,
	action   TEXT NOT NULL,
	resource TEXT NOT NULL,
	status   TEXT NOT NULL,
	ts       BIGINT NOT NULL,
	body     {{bytes}} NOT NULL,
	result   {{bytes}} NOT NULL,
	error    TEXT NOT NULL
){{norowid}};
CREATE INDEX admin_tasks_time ON admin_tasks (tenant, ts);

-- The room in which the server speaks to a user.
CREATE TABLE notice_rooms (
	usr  {{int}} NOT NULL PRIMARY KEY,
	room BIGINT NOT NULL
);
CREATE INDEX notice_rooms_room ON notice_rooms (room);

-- By which names other identity providers know accounts.
CREATE TABLE external_ids (
	tenant      BIGINT NOT NULL,
	provider    TEXT NOT NULL,
	external_id TEXT NOT NULL,
	usr         BIGINT NOT NULL,
	PRIMARY KEY (tenant, provider, external_id)
){{norowid}};
CREATE INDEX external_ids_user ON external_ids (usr);

-- Until when users may replace their cross-signing keys without showing their password.
CREATE TABLE key_windows (
	usr {{int}} NOT NULL PRIMARY KEY,
	ends BIGINT NOT NULL
);

-- What kind of account it is: '' for a person's, bot, support.
ALTER TABLE users ADD COLUMN user_type TEXT NOT NULL DEFAULT '';

-- protected: quarantines of rooms and users pass it over. used: when it was last served, at most a day ago; 0 for never.
ALTER TABLE media ADD COLUMN protected BIGINT NOT NULL DEFAULT 0;
ALTER TABLE media ADD COLUMN used BIGINT NOT NULL DEFAULT 0;

-- State events by who sent them: invitations and joins are counted by it. Messages are not in it.
CREATE INDEX events_state_sender ON events (sender, ts) WHERE skey <> 0;
