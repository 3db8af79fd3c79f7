-- Uploaded files and addresses that wait for one. origin and id make the address mxc://origin/id. digest: SHA-256 of
-- the content, empty until there is one; files are kept once for each (tenant, digest), see docs/adr. state: see
-- storage.MediaState. expires: until when a waiting address may be filled. quarantined: who locked it away, '' nobody.
CREATE TABLE media (
	origin      TEXT NOT NULL,
	id          TEXT NOT NULL,
	tenant      BIGINT NOT NULL,
	usr         BIGINT NOT NULL,
	state       BIGINT NOT NULL,
	digest      {{bytes}} NOT NULL,
	size        BIGINT NOT NULL,
	type        TEXT NOT NULL,
	name        TEXT NOT NULL,
	created     BIGINT NOT NULL,
	expires     BIGINT NOT NULL,
	quarantined TEXT NOT NULL,
	PRIMARY KEY (origin, id)
){{norowid}};
CREATE INDEX media_digest ON media (tenant, digest);
CREATE INDEX media_user ON media (usr, created);
CREATE INDEX media_pending ON media (expires) WHERE state = 0;
CREATE INDEX media_held ON media (origin, id) WHERE state = 2;

-- Thumbnails by the content that they show; made: digest of the thumbnail's own file.
CREATE TABLE media_thumbs (
	tenant BIGINT NOT NULL,
	digest {{bytes}} NOT NULL,
	kind   TEXT NOT NULL,
	made   {{bytes}} NOT NULL,
	size   BIGINT NOT NULL,
	type   TEXT NOT NULL,
	PRIMARY KEY (tenant, digest, kind)
){{norowid}};
CREATE INDEX media_thumbs_made ON media_thumbs (tenant, made);

-- How many bytes each account has uploaded and not deleted.
CREATE TABLE media_usage (
	usr   BIGINT NOT NULL PRIMARY KEY,
	bytes BIGINT NOT NULL
){{norowid}};
