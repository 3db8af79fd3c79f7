-- Which rooms are in the directory, without a look at all that are not.
CREATE INDEX rooms_public ON rooms (nid) WHERE public <> 0;
