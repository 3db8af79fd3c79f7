-- Events that are to be sent later. id: what its owner, and whoever he gives it to, manages it by. skeyed: 1 for a state
-- event. delay: milliseconds after scheduled (when it was asked for or last restarted); due: the sum. since: position of
-- the stream when it was asked for. sticky: how long the event sticks, 0: not at all. lease: until then a node is sending
-- it. finalised: when it was sent, cancelled or failed; 0 while it waits. error: JSON of why it failed. device, endpoint,
-- txn: the client's transaction id, '' for none.
CREATE TABLE delayed_events (
	nid       BIGINT NOT NULL PRIMARY KEY,
	id        TEXT NOT NULL UNIQUE,
	usr       BIGINT NOT NULL,
	room      BIGINT NOT NULL,
	type      TEXT NOT NULL,
	skeyed    BIGINT NOT NULL,
	skey      TEXT NOT NULL,
	content   {{bytes}} NOT NULL,
	sticky    BIGINT NOT NULL,
	delay     BIGINT NOT NULL,
	scheduled BIGINT NOT NULL,
	due       BIGINT NOT NULL,
	since     BIGINT NOT NULL,
	lease     BIGINT NOT NULL,
	finalised BIGINT NOT NULL,
	error     {{bytes}} NOT NULL,
	device    BIGINT NOT NULL,
	endpoint  BIGINT NOT NULL,
	txn       TEXT NOT NULL
);
CREATE INDEX delayed_events_due ON delayed_events (due) WHERE finalised = 0;
CREATE INDEX delayed_events_user ON delayed_events (usr, due) WHERE finalised = 0;
CREATE INDEX delayed_events_done ON delayed_events (finalised) WHERE finalised > 0;
CREATE UNIQUE INDEX delayed_events_txn ON delayed_events (device, endpoint, txn) WHERE txn <> '';

-- What became of delayed events that were sent. event: 0 when the state was so already.
CREATE TABLE delayed_sent (
	delayed  BIGINT NOT NULL PRIMARY KEY,
	event    BIGINT NOT NULL,
	event_id TEXT NOT NULL
){{norowid}};
CREATE INDEX delayed_sent_event ON delayed_sent (event);
