// Package pushers owns where users want to be notified, and notifies them there.
//
// Nothing is written when an event is sent: who is notified follows from the event's outcome, which core/push stored with
// it, and from who is in the room. One goroutine reads the stream once for all pushers and queues for each what it is to be
// told, in bounded queues; a pusher that cannot keep up reads the rest later from where it stands. Short-lived goroutines, one
// for each request under way, do the telling. What is kept is one common cursor, and the place of those pushers that are
// behind it: after a crash some notifications may be told again, none is lost. A notification is dropped when the user has
// read the event meanwhile, may not see it any more, or after a day.
//
// Of several nodes one holds the lease and notifies for all. The package makes no network call of its own ([core.PushGateway]).
package pushers
