// Package clients holds tests in which real client libraries talk to the real binary. The encrypted ones need the
// build tag goolm, which gives mautrix-go its Olm in pure Go.
package clients
