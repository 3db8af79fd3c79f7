-- What web pages say of themselves, kept for a while. hash: SHA-256 of the address. body: JSON for clients. origin, id: the
-- picture's address in our media, '' for none.
CREATE TABLE previews (
	tenant  BIGINT NOT NULL,
	hash    {{bytes}} NOT NULL,
	body    {{bytes}} NOT NULL,
	origin  TEXT NOT NULL,
	id      TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (tenant, hash)
){{norowid}};
CREATE INDEX previews_created ON previews (created);
