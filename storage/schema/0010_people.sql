-- Addresses that were proven to be an account's. address: e-mail in lower case.
CREATE TABLE threepids (
	tenant    BIGINT NOT NULL,
	medium    TEXT NOT NULL,
	address   TEXT NOT NULL,
	usr       BIGINT NOT NULL,
	validated BIGINT NOT NULL,
	added     BIGINT NOT NULL,
	PRIMARY KEY (tenant, medium, address)
){{norowid}};
CREATE INDEX threepids_user ON threepids (usr);

-- Proofs under way that an e-mail address is somebody's. secret_hash: of the client's secret; token_hash: of what the
-- letter says. proven: when the letter's link was used, 0 before. usr: the account that it is for, 0 for a new one.
CREATE TABLE email_proofs (
	sid         TEXT NOT NULL PRIMARY KEY,
	tenant      BIGINT NOT NULL,
	purpose     TEXT NOT NULL,
	address     TEXT NOT NULL,
	secret_hash {{bytes}} NOT NULL,
	token_hash  {{bytes}} NOT NULL UNIQUE,
	attempt     BIGINT NOT NULL,
	usr         BIGINT NOT NULL,
	expires     BIGINT NOT NULL,
	proven      BIGINT NOT NULL
){{norowid}};
CREATE INDEX email_proofs_address ON email_proofs (address, tenant, purpose);
CREATE INDEX email_proofs_expires ON email_proofs (expires);

-- Secrets, hashed (SHA-256), that stand for a person for one purpose: activation, renewal, log-in, OpenID.
CREATE TABLE person_tokens (
	hash    {{bytes}} NOT NULL PRIMARY KEY,
	purpose TEXT NOT NULL,
	usr     BIGINT NOT NULL,
	expires BIGINT NOT NULL
){{norowid}};
CREATE INDEX person_tokens_user ON person_tokens (usr);
CREATE INDEX person_tokens_expires ON person_tokens (expires);

-- Which version of which document a user accepted.
CREATE TABLE accepted_terms (
	usr      BIGINT NOT NULL,
	document TEXT NOT NULL,
	version  TEXT NOT NULL,
	ts       BIGINT NOT NULL,
	PRIMARY KEY (usr, document, version)
){{norowid}};

-- When accounts end unless they are renewed; reminded: when the owner was last told.
CREATE TABLE account_ends (
	usr      {{int}} NOT NULL PRIMARY KEY,
	ends     BIGINT NOT NULL,
	reminded BIGINT NOT NULL
);
CREATE INDEX account_ends_ends ON account_ends (ends);

-- Refresh tokens (hashed) that have served: whoever shows one again has a copy, and its device's sessions end.
CREATE TABLE spent_refresh (
	hash   {{bytes}} NOT NULL PRIMARY KEY,
	usr    BIGINT NOT NULL,
	device BIGINT NOT NULL,
	spent  BIGINT NOT NULL
){{norowid}};
CREATE INDEX spent_refresh_user ON spent_refresh (usr);
CREATE INDEX spent_refresh_spent ON spent_refresh (spent);
