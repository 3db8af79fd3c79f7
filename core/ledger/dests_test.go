package ledger_test

import (
	"slices"
	"testing"

	"rempart/core/ledger"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// What goes to many at once is one record; every question is answered as if each of them had its own.
func TestOneRecordForManyServers(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx, k := t.Context(), key(t)
		s := open(t, ledger.Options{DB: db, Key: k})
		servers := []string{"fr.example", "be.example", "gone.example"}
		permits := begin(t, s, ledger.Intent{
			Record: ledger.Record{Kind: ledger.Transaction, Tenant: "home.example", Dests: servers, Bytes: 900},
			About:  []ledger.Name{ledger.Room(room)}, Items: ledger.AppendItem(nil, []byte("$a")),
		}, ledger.Intent{Record: ledger.Record{Kind: ledger.Transaction, Tenant: "home.example", Dests: servers[:1]}, About: []ledger.Name{ledger.User(alice)}})
		permits[0].To(2).End(ledger.Outcome{Why: "nobody is there"})
		permits[0].To(1).End(ledger.Outcome{OK: true, Sent: 900})
		permits[0].To(0).End(ledger.Outcome{OK: true, Sent: 900})
		permits[1].To(0).End(ledger.Outcome{OK: true, Sent: 30})

		trail, err := s.TraceName(ctx, ledger.Room(room))
		if err != nil || len(trail.Entries) != len(servers) {
			t.Fatalf("%+v %v", trail, err)
		}
		for i, e := range trail.Entries {
			if e.Dest != servers[i] || len(e.Dests) > 0 || e.Items != 1 || e.Outcome == nil || e.Outcome.OK != (i < 2) || len(e.Outcome.To) > 0 {
				t.Errorf("%d: %+v %+v", i, e, e.Outcome)
			}
		}
		begin(t, s, slices.Repeat([]ledger.Intent{intent("other.example", "FR")}, 300)...) // so that the block is full, and the index asked
		for i, n := range []int{2, 1, 1} {
			if trail, err = s.TraceDest(ctx, servers[i]); err != nil || len(trail.Entries) != n || trail.Entries[0].Dest != servers[i] || trail.Entries[0].Outcome.OK != (i < 2) {
				t.Errorf("%s: %+v %v", servers[i], trail, err)
			}
		}
		if trail, err = s.TraceName(ctx, ledger.User(alice)); err != nil || len(trail.Entries) != 1 || trail.Entries[0].Dest != "fr.example" || trail.Entries[0].Outcome.Sent != 30 {
			t.Errorf("to one alone: %+v %v", trail, err)
		}
		where, err := s.Resides(ctx, ledger.Room(room), "rooms")
		if err != nil || len(where.Servers) != 2 || where.Servers["fr.example"] != 1 || where.Servers["be.example"] != 1 {
			t.Errorf("%+v %v", where, err)
		}
		var seen []string
		if _, err := s.Replay(ctx, 0, 0, func(r *ledger.Record) error { seen = append(seen, r.Dest); return nil }); err != nil || !slices.Equal(seen[:4], append(servers, "fr.example")) {
			t.Errorf("again: %v %v", seen, err)
		}
		if err := s.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		sound(t, db, ledger.Verification{Key: k.Public})
	})
}
