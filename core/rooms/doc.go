// Package rooms owns the event graph of every room: it builds, authorises, resolves, appends, redacts and reads events,
// and on top of that the operations of the client-server API on rooms. Entrances and federation call it; local and
// remote events enter a room through the same code. It never knows who listens: readers hear of commits by the bus.
//
// # How a room's state is kept
//
// State is a tree of versions. A [Version] is a place on a branch: branch 0 is the room's resolved current state; other
// branches bear the number of the event that opened them. An event stores the version before it. The state after a
// state event is the next place on the same branch where that is free, else the first of a branch of its own. Where an
// event joins several histories, only the keys in which these differ are resolved.
//
// # Concurrency
//
// A [Room] is a small actor with one mutex. Under it an event is built, authorised, hashed, signed and queued for the
// committer; the commit is waited for outside. The next event may be built on one that is still under way. Readers never
// take the mutex: they see the last committed [View], published in commit order.
//
// Lock order: a queue slot of the committer is reserved before a room's mutex is taken. Nobody holds two rooms.
package rooms
