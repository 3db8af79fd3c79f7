// Package courier tells application services what they follow: the events of their outbox, messages for their users' devices,
// and what is ephemeral.
//
// One goroutine owns all that is known of the services. It reads the outbox from where each service stands, stores each
// transaction before it is sent, and lets short-lived goroutines hand them over, one transaction of a service at a time: so order is
// kept, and a repetition after a crash or by another node has the same id and content. A service that fails keeps its place and
// costs nothing until it is tried again: at the latest after an hour, at once when it speaks to us.
//
// Of several nodes one holds the lease and tells all services; what is ephemeral on the others waits there and is lost.
//
// Spec: application-service-api/#pushing-events
package courier
