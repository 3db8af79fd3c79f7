-- How many files an account has uploaded, and of what sizes, without a look at the files themselves.
CREATE INDEX media_sums ON media (usr, created, state, size);
DROP INDEX media_user;
