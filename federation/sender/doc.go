// Package sender delivers to other servers what they are to be told: the events of the outbox, the messages that must
// arrive, and ephemeral ones.
//
// One goroutine owns all that is known of destinations. It reads new outbox rows once, however many servers they are for, makes
// a transaction for each destination that is ready, stores all of them in one Change, and only then has another goroutine send them, one after
// the other, and read the answers that come together; for who takes longer a short-lived one waits. What is in a transaction is stored before it is sent, so that a repetition after
// a crash or by another node has the same id and content. A destination that fails keeps its place and costs nothing until
// it is tried again: at the latest after an hour, at once when it speaks to us.
//
// Of several nodes one holds the lease and sends for all; the others hand it what is
// ephemeral, and tell it who speaks to them.
package sender
