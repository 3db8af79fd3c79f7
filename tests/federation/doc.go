// Package federation drives real servers, processes of their own, that speak TLS with one another on loopback. A test
// can be a server too: a peer signs its requests with a key that the real ones fetch from it.
package federation
