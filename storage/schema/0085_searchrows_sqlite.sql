-- Only on SQLite. ts, branch and seq are those of the event, so that who may see it is decided without reading it.
-- Why folded when nothing is given: nobody sees what was said in a state that is not kept.
ALTER TABLE search_docs ADD COLUMN ts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE search_docs ADD COLUMN branch BIGINT NOT NULL DEFAULT -2;
ALTER TABLE search_docs ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
UPDATE search_docs SET ts = e.ts, branch = e.branch, seq = e.seq FROM events e WHERE e.nid = search_docs.event;
