package ledger_test

import (
	"bytes"
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core/ledger"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

const (
	alice = matrix.UserID("@alice:home.example")
	room  = matrix.RoomID("!room:home.example")
)

func key(t testing.TB) ledger.Key {
	t.Helper()
	k, err := ledger.LoadOrCreateKey(filepath.Join(t.TempDir(), "ledger.key"), "home.example")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, o ledger.Options) *ledger.Service {
	t.Helper()
	s, err := ledger.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// atOnce is a clock that stands: all that happens by it happens within the seconds in which it is folded.
func atOnce() func() time.Time {
	now := time.Now()
	return func() time.Time { return now }
}

// intent is a connection to another server somewhere.
func intent(dest, cc string) ledger.Intent {
	return ledger.Intent{Record: ledger.Record{Kind: ledger.Connection, For: "federation", Dest: dest, Addr: "192.0.2.1:8448", CC: cc}}
}

func begin(t testing.TB, s *ledger.Service, in ...ledger.Intent) []ledger.Permit {
	t.Helper()
	permits, err := s.Begin(context.Background(), in...)
	if err != nil {
		t.Fatal(err)
	}
	return permits
}

func sound(t *testing.T, db *storage.DB, how ledger.Verification) ledger.Report {
	t.Helper()
	r, err := ledger.Verify(t.Context(), db, how)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) > 0 {
		t.Errorf("a sound log: %+v", r.Problems)
	}
	return r
}

func TestWhatLeavesIsRecordedAndProven(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k := key(t)
		s := open(t, ledger.Options{DB: db, Key: k, Clock: atOnce()})
		begin(t, s, intent("fr.example", "FR"))[0].End(ledger.Outcome{OK: true, Sent: 100, Received: 7, SPKI: "key"})
		txn := ledger.Intent{
			Record: ledger.Record{Kind: ledger.Transaction, Tenant: "home.example", Dest: "fr.example", Bytes: 900},
			About:  []ledger.Name{ledger.Room(room), ledger.User(alice)},
		}
		for _, id := range []string{"$a", "$b", "$c"} {
			txn.Items = ledger.AppendItem(txn.Items, []byte(id))
		}
		for range 600 {
			begin(t, s, txn)
		}
		s.Refuse(ledger.Record{For: "federation", Dest: "us.example", CC: "US", Rule: "territory"})
		s.Refuse(ledger.Record{For: "federation", Dest: "us.example", CC: "US", Rule: "territory"})

		trail, err := s.TraceName(t.Context(), ledger.Room(room))
		if err != nil || len(trail.Entries) != 600 || trail.Entries[0].Dest != "fr.example" || trail.Entries[0].Items != 3 {
			t.Fatalf("trace of the room: %d entries, %v", len(trail.Entries), err)
		}
		if about := trail.Entries[599].About; len(about) != 2 || about[0] != "room "+string(room) || about[1] != "user "+string(alice) {
			t.Errorf("about %v", about)
		}
		trail, err = s.TraceDest(t.Context(), "fr.example")
		if err != nil || len(trail.Entries) != 601 || trail.Entries[0].Outcome == nil || trail.Entries[0].Outcome.Sent != 100 || trail.Entries[0].Outcome.SPKI != "key" {
			t.Errorf("trace of the server: %d entries, %v", len(trail.Entries), err)
		}
		trail, err = s.TraceDest(t.Context(), "us.example")
		if err != nil || len(trail.Entries) != 1 || trail.Entries[0].Count != 2 || trail.Entries[0].Kind != ledger.Refused {
			t.Errorf("refusals: %+v, %v", trail.Entries, err)
		}
		if err := s.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		proof, err := s.Prove(t.Context(), 17)
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := proof.Check(k.Public); err != nil || rec.N != 17 {
			t.Errorf("proof: %+v %v", rec, err)
		}
		proof.N = 18
		if _, err := proof.Check(k.Public); err == nil {
			t.Error("a proof of one record holds for another")
		}
		if r := sound(t, db, ledger.Verification{Key: k.Public}); r.Signed != s.Size() || r.Records < 603 {
			t.Errorf("verified %+v", r)
		}
	})
}

func TestLeftTerritoryAndReadsAreTwoQuestions(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := open(t, ledger.Options{DB: db, Key: key(t), Clock: atOnce()})
		begin(t, s, intent("fr.example", "FR"), intent("re.example", "RE"))
		local := intent("scanner", "")
		local.Record.Addr = "127.0.0.1:3310"
		begin(t, s, local)
		reader := ledger.Reader{Session: 7, User: alice}
		s.Read(reader, room, 10, 12, 3)
		s.Read(reader, room, 13, 20, 5)
		s.Read(reader, room, 0, 0, 0)
		left, err := s.LeftTerritory(t.Context(), 0, 0)
		if err != nil || len(left.Entries) != 0 {
			t.Fatalf("left: %+v %v", left.Entries, err)
		}
		begin(t, s, intent("us.example", "US"), intent("nowhere.example", ""))
		left, err = s.LeftTerritory(t.Context(), 0, 0)
		if err != nil || len(left.Entries) != 2 || left.Entries[0].Place != "outside" || left.Entries[1].Place != "unplaced" {
			t.Errorf("left: %+v %v", left.Entries, err)
		}
		reads, err := s.ReadAbroad(t.Context(), 0, 0)
		if err != nil || len(reads.Entries) != 1 || reads.Entries[0].From != 10 || reads.Entries[0].To != 20 || reads.Entries[0].Count != 8 {
			t.Errorf("reads: %+v %v", reads.Entries, err)
		}
		where, err := s.Resides(t.Context(), ledger.Room(room), "rooms")
		if err != nil || where.Readers["unplaced"] != 1 {
			t.Errorf("residency %+v %v", where, err)
		}
	})
}

func TestErasedNamesCannotBeTraced(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k := key(t)
		s := open(t, ledger.Options{DB: db, Key: k})
		in := intent("fr.example", "FR")
		in.About = []ledger.Name{ledger.User(alice)}
		begin(t, s, in)
		if err := s.Erase(t.Context(), ledger.User(alice)); err != nil {
			t.Fatal(err)
		}
		trail, err := s.TraceName(t.Context(), ledger.User(alice))
		if err != nil || len(trail.Entries) != 0 {
			t.Errorf("erased: %+v %v", trail.Entries, err)
		}
		trail, err = s.TraceDest(t.Context(), "fr.example")
		if err != nil || len(trail.Entries) != 1 || len(trail.Entries[0].About) != 0 {
			t.Errorf("of the server: %+v %v", trail.Entries, err)
		}
		var bundle bytes.Buffer
		if err := ledger.Export(t.Context(), db, k.Public, &bundle); err != nil || bytes.Contains(bundle.Bytes(), []byte("alice")) {
			t.Errorf("the bundle names a person, or %v", err)
		}
		sound(t, db, ledger.Verification{Key: k.Public})
	})
}

func TestSealingLeavesProofs(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k, began := key(t), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var passed atomic.Int64
		o := ledger.Options{DB: db, Key: k, Clock: func() time.Time { return began.Add(time.Duration(passed.Load())) }}
		s := open(t, o)
		many := make([]ledger.Intent, 400)
		for i := range many {
			many[i] = intent("fr.example", "FR")
		}
		for range 2 {
			begin(t, s, many...)
			if err := s.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		passed.Store(int64(400 * 24 * time.Hour))
		now := began.Add(400 * 24 * time.Hour)
		begin(t, s, intent("re.example", "RE"))
		for range 2 { // the second finds nothing to do
			if err := s.Seal(t.Context(), now.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := sound(t, db, ledger.Verification{Key: k.Public}); r.Sealed != 768 || r.Records != 802 || r.Signed != 802 {
			t.Errorf("sealed: %+v", r)
		}
		if p, err := s.Prove(t.Context(), 800); err != nil {
			t.Error(err)
		} else if rec, err := p.Check(k.Public); err != nil || rec.Dest != "re.example" {
			t.Errorf("proof after sealing: %+v %v", rec, err)
		}
	})
}

// TestErasedAccountsAreForgotten erases an account on one node; another, which still knows what it called him, forgets it too.
func TestErasedAccountsAreForgotten(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k := key(t)
		one, other := open(t, ledger.Options{DB: db, Key: k}), open(t, ledger.Options{DB: db, Key: k})
		in := intent("fr.example", "FR")
		in.About = []ledger.Name{ledger.User(alice)}
		begin(t, one, in)
		begin(t, other, in)
		nid, err := db.UserNID(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		c := &storage.Change{}
		c.Guard(storage.InsertUser(storage.User{NID: nid, ID: alice, Flags: storage.UserDeactivated | storage.UserErased}))
		if err := db.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := one.ForgetErased(t.Context()); err != nil {
			t.Fatal(err)
		}
		trail, err := one.TraceName(t.Context(), ledger.User(alice))
		if err != nil || len(trail.Entries) != 0 {
			t.Errorf("he is still known: %+v %v", trail, err)
		}
		all, err := one.TraceDest(t.Context(), "fr.example")
		if err != nil || len(all.Entries) != 2 || len(all.Entries[0].About)+len(all.Entries[1].About) != 0 {
			t.Errorf("%+v %v", all, err)
		}
		begin(t, other, in)
		// Why not by his name: that node looks for who was erased too, now and then.
		trail, err = other.TraceDest(t.Context(), "fr.example")
		if err != nil || len(trail.Entries) != 3 || trail.Entries[2].Objects[0] == all.Entries[0].Objects[0] {
			t.Errorf("the other node calls him what was forgotten: %+v %v", trail, err)
		}
		sound(t, db, ledger.Verification{Key: k.Public})
	})
}
