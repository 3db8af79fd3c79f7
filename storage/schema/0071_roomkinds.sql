-- The type that a room's create event gives: '-' for none, '' where nobody has looked yet.
ALTER TABLE rooms ADD COLUMN kind TEXT NOT NULL DEFAULT '';
