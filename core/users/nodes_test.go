package users_test

import (
	"testing"

	"rempart/core/users"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// TestLoggingOutOnOneNodeEndsTheTokenOnAnother is, on SQLite, about a command beside the running server.
func TestLoggingOutOnOneNodeEndsTheTokenOnAnother(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		node := func() *rig {
			events := bus.New[storage.Batch]()
			return newRig(t, storagetest.Open(t, storage.Options{URL: url, Publish: events.Publish}), events, nil)
		}
		one, two := node(), node()
		s, c := one.register("alice")
		if two.caller(s.Token).UserNID != c.UserNID { // now the second node has the token in memory
			t.Fatal("the nodes disagree who alice is")
		}
		if err := one.Logout(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		one.gone(s.Token)
		for { // word of it is on its way; the test's own deadline ends a wait in vain
			if _, err := two.Authenticate(t.Context(), s.Token, users.Seen{}, false); matrix.HasCode(err, matrix.CodeUnknownToken) {
				return
			}
		}
	})
}

func TestLockedAccountsMayOnlyLogOut(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		s, c := r.register("alice")
		change := &storage.Change{}
		change.Guard(storage.UpdateUserFlags(c.UserNID, storage.UserLocked, 0))
		change.Live(storage.Live{Kind: storage.KindSession, User: c.UserNID})
		if err := r.db.Commit(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		_, err := r.Authenticate(t.Context(), s.Token, users.Seen{}, false)
		if refused(t, err, matrix.CodeUserLocked); matrix.AsError(err).Extra["soft_logout"] != true {
			t.Error("a locked account must be told to keep its keys")
		}
		if _, err := r.Authenticate(t.Context(), s.Token, users.Seen{}, true); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	events := bus.New[storage.Batch]()
	db := storagetest.Open(b, storage.Options{URL: b.TempDir() + "/bench.db", Publish: events.Publish})
	s, err := users.New(b.Context(), users.Options{DB: db, Bus: events, Servers: []matrix.ServerName{"hs1"},
		Registration: users.Registration{Open: true}, Argon2: users.Argon2{Time: 1, MemoryKiB: 8}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	got, err := s.Register(b.Context(), users.RegisterRequest{Username: "a", Password: "b", Auth: dummy})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(b.Context(), got.Token, users.Seen{IP: "192.0.2.1"}, false); err != nil {
			b.Fatal(err)
		}
	}
}
