-- What application services are to be told, in the order of the stream: an event, with the numbers of the services (8 bytes
-- each, sorted) that followed it when it came.
CREATE TABLE appservice_outbox (
	pos      BIGINT NOT NULL,
	event    BIGINT NOT NULL,
	services {{bytes}} NOT NULL,
	PRIMARY KEY (pos, event)
){{norowid}};

-- How far each service has been told: all before pos has arrived, changed device lists before lists. txn, flight: the
-- transaction under way, '' and empty when there is none; flight_pos, flight_lists: how far it goes. since: when it began to fail.
CREATE TABLE appservices (
	number       BIGINT NOT NULL PRIMARY KEY,
	id           TEXT NOT NULL,
	pos          BIGINT NOT NULL,
	lists        BIGINT NOT NULL,
	txn          TEXT NOT NULL,
	flight_pos   BIGINT NOT NULL,
	flight_lists BIGINT NOT NULL,
	flight       {{bytes}} NOT NULL,
	since        BIGINT NOT NULL,
	retry        BIGINT NOT NULL,
	success      BIGINT NOT NULL,
	reason       TEXT NOT NULL
){{norowid}};

-- Accounts that belong to a service.
CREATE INDEX users_appservice ON users (appservice) WHERE appservice <> '';

-- Rooms in the directories of third-party networks. instance: the service's id, "|" and its network.
CREATE TABLE network_rooms (
	instance TEXT NOT NULL,
	room     BIGINT NOT NULL,
	PRIMARY KEY (instance, room)
){{norowid}};
