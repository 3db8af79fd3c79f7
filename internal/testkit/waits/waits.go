// Package waits looks into the database of a server that has ended for what it still has to tell others or to take in. Tests of several
// servers ask it when all should be quiet. It changes nothing.
package waits

import (
	"fmt"
	"testing"

	"rempart/internal/bus"
	"rempart/internal/testkit/mx"
	"rempart/storage"
)

// In lists what waits in a database, given as storage.Options.URL; name is what the server is called in the list.
func In(t *testing.T, name, url string) (out []string) {
	t.Helper()
	b := bus.New[storage.Batch]()
	db, err := storage.Open(t.Context(), storage.Options{URL: url, Publish: b.Publish})
	mx.Must(t, err)
	defer func() { mx.Must(t, db.Close()) }()
	lanes, err := db.ListInboxLanes(t.Context())
	mx.Must(t, err)
	for _, l := range lanes {
		out = append(out, fmt.Sprintf("%s has not taken in %+v", name, l))
	}
	dests, err := db.ListDestinations(t.Context())
	mx.Must(t, err)
	for _, d := range dests {
		rows, err := db.ListOutbox(t.Context(), d.Pos, 1<<62, 1<<62, 1000)
		mx.Must(t, err)
		for _, row := range rows {
			if row.Extra == d.Server {
				out = append(out, fmt.Sprintf("%s has not told %s: %s %s", d.Origin, d.Server, row.EDU, row.Body))
			}
		}
		if d.Txn != "" || d.Since != 0 {
			out = append(out, fmt.Sprintf("%s has a transaction under way to %s: %s, failing since %d", d.Origin, d.Server, d.Flight, d.Since))
		}
	}
	return out
}
