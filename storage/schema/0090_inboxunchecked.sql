-- Whether the keys that the event is signed with could not be asked for yet: 1, or 0.
ALTER TABLE inbox ADD COLUMN unchecked BIGINT NOT NULL DEFAULT 0;
