// Package sync answers /sync: what a user may need to hear of since a token, and nothing else. It reads; the only rows it
// writes are receipts, and the removal of messages that a device proved to have.
//
// The hub (hub.go) hears of every commit and keeps in memory which rooms a user is in, where each room last moved and
// who is waiting, so that a sync of a quiet account touches no table and a commit wakes only those it concerns. A build
// (build.go) makes one answer from the hub's facts, the tails of active rooms and, where those do not reach, storage.
// All reads are cut at the position that the hub had when the build began; the answer's token names it.
//
// Sliding sync (sliding*.go, MSC4186) makes its answers of the same parts, in two dialects. Each user has one list of rooms
// by activity (slide), kept up to date by notes of what moved (stirs); a connection remembers of each room up to where and by
// which config it was sent (16 bytes), as of the last answer that the client proved to have. A request matches its rules with
// the list, walks list and memory side by side, and writes what the client does not have. Connections are stored now and
// then: one that is older than what the client has brings some things twice, and skips none.
//
// Lock order: hubUser.loading; connection.mu, slide.mu; then hub.mu. Nobody who holds hub.mu waits for anything.
//
// # Where things are
//
// What is known of everybody: hub, online (who is here and waits), tail (newest events of a room), counts and unread (derived from receipts and push hits), typing, presence,
// presence_nodes, presence_remote, receipts, remote (what other servers say of these), sticky; service and request begin and end a sync.
//
// One answer of /sync: build, account, joinroom, timeline, state, summary, departed, ephemeral, device, devicelists; early and early_first read for many rooms at once, before the
// rooms are built; filter and storedfilter are what the client asked for. notified is /notifications.
//
// Sliding sync: sliding (the answer), sliding_parse and sliding_request (what is asked), sliding_config, sliding_filter, sliding_pick (which rooms), sliding_room, sliding_rooms, sliding_state,
// sliding_sticky, sliding_extensions (what of them), sliding_stirs (what moved), sliding_connection and sliding_store (what was sent); roomlists keeps a user's list over a restart.
package sync
