// Package interop lets Rempart federate with another homeserver, as two processes that speak TLS on loopback. PEER_LAUNCHER names the
// program that runs the other one (tests/federation/README.md); without it that is a Rempart too.
package interop
