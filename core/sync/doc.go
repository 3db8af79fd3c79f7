// Package sync answers /sync: what a user may need to hear of since a token, and nothing else. It reads; the only rows it
// writes are receipts, and the removal of messages that a device proved to have.
//
// The hub (hub.go) hears of every commit and keeps in memory which rooms a user is in, where each room last moved and
// who is waiting, so that a sync of a quiet account touches no table and a commit wakes only those it concerns. A build
// (build.go) makes one answer from the hub's facts, the tails of active rooms and, where those do not reach, storage.
// All reads are cut at the position that the hub had when the build began; the answer's token names it.
//
// Lock order: hubUser.loading, then hub.mu. Nobody who holds hub.mu waits for anything.
package sync
