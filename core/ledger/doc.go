// Package ledger keeps the record of what left this server and of who read what, so that it can be proven.
//
// It is a log that only grows. Each record is a leaf of a Merkle tree (RFC 6962), whose root is signed again and again
// together with the number of records: a checkpoint. What was said to be so once cannot be taken back without contradicting a
// checkpoint, and other bodies that keep checkpoints, the witnesses, make that visible even to those who do not trust us.
//
// What leaves is recorded before it leaves: a connection is opened once its record is on disk, and what became of it is recorded
// after. A crash can therefore leave behind an intent without its outcome, never an outcome without a record. In
// strict mode what cannot be recorded does not leave.
//
// People, rooms and files are called by aliases that change every month; who an alias means stands in a table beside the
// log, so that it can be forgotten without breaking the log. Reads are ranges, folded in memory and written every few
// seconds. Old records are sealed away in blocks: their contents go, the hashes that later proofs need stay.
//
// cmd hands the ledger to whatever opens connections; nothing here makes one. One goroutine appends; nodes that share a
// database share the log, ordered by its head row.
package ledger
