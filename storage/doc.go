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
package storage
