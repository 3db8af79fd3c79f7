// Package storage is the only home of SQL. It knows rows, not rules: what may be written is decided above.
//
// One schema and one SQL text serve SQLite (embedded, the default) and PostgreSQL; what differs stands in
// dialect.go. Every write is a [Change], a value that says which rows to add and under which guards; one
// committer takes all Changes that wait, writes them in a single transaction, numbers what enters the live
// stream, publishes the very same values and then answers. Readers use a pool of their own and never hold a
// transaction while they wait.
//
// Three numbers are never mixed: an event number (nid) is an interned id; a stream position is given at commit,
// in commit order; room order (depth, then arrival) sorts history that is older than our stream.
//
// # Where things are
//
// The way of a write: change is what callers hand over, guard its conditions, queue where it waits, committer and writer the one transaction, roomwrite the rows
// of rooms in it, flush and table how rows become statements, outcome what became of a commit whose answer was lost. follower hears what other nodes committed, signal carries what is
// not kept. bulk writes much at once, bites deletes much in small transactions, ids and intern, intern_many give out numbers.
//
// The database: db opens it; sqlite, postgres, session, dialer and dialect are the two engines; migrate and migrate_fill apply schema/, read, each_in and arrays ask, clean keeps out what
// cannot be stored. backup, move, move_rows (SQLite to PostgreSQL), examine (doctor) and shrink (memory) are for operators, prune for what has had its time.
//
// Tables of rooms: rooms, roomkinds, events, events_read, history, bytime, state, compact, chains, memberships, members_local, aliases, directory, relations, threads, transactions, sticky,
// stickywaiting, delayed, resets, closures, purge, purge_room, expire. For sync: sync_rooms, sync_state, sliding, roomlists, receipts. For search: search, search_read,
// search_later, search_ahead, search_postgres.
//
// Tables of people: users, sessions, uia, persontokens, profiles, userdirectory, accountdata, filters, threepids, tenants, missions, reports; devices, keys, onetimekeys, crosssigning, keybackup,
// dehydrated, todevice, remotedevices; pushers, pushhits, push_read, notified; calls, previews; media, media_admin, media_content.
//
// Other servers and the record: outbox, waves, destinations, inbox, serverkeys, serverplaces, appservices; ledger, ledger_names, audit. jobs is work that is left to do.
// admin_* serve administrators: admin_lists, admin_media, admin_rooms, admin_standing, admin_tasks, admin_users.
package storage
