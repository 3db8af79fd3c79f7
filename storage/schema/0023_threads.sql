-- What users said of threads (MSC4306). pos: position of the last change. automatic: 1 when a client subscribed on its own,
-- because of a mention. A row that is not subscribed remembers when the user unsubscribed.
CREATE TABLE thread_subscriptions (
	usr        BIGINT NOT NULL,
	room       BIGINT NOT NULL,
	thread     BIGINT NOT NULL,
	subscribed BIGINT NOT NULL,
	automatic  BIGINT NOT NULL,
	pos        BIGINT NOT NULL,
	PRIMARY KEY (usr, room, thread)
){{norowid}};
CREATE INDEX thread_subscriptions_pos ON thread_subscriptions (usr, pos);
