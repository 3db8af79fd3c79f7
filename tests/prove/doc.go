// Package prove holds the long proofs: what happens under load when processes are killed, hang, or share a database.
// They run with REMPART_PROVE=1 in full length and otherwise in a short form that still fails when the behaviour breaks.
package prove
