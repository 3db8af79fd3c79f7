// Package matrix owns what the Matrix protocol is made of: identifiers, errors with their codes, canonical
// JSON, room versions and events (build, parse, hash, sign, redact). Everything above it calls it; it calls
// nothing of ours, opens no connection and knows no storage. It is the only home of gomatrixserverlib.
//
// Events are handled as bytes: an event is written once in canonical form and is then scanned, never
// decoded into maps. All values that leave this package are immutable and safe for concurrent use.
package matrix
