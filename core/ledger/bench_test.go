package ledger_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"rempart/core/ledger"
	"rempart/internal/testkit/cputime"
	"rempart/storage"
	"rempart/storage/storagetest"
)

func transactionIntent() ledger.Intent {
	in := ledger.Intent{
		Record: ledger.Record{Kind: ledger.Transaction, For: "federation", Tenant: "home.example", Dest: "fr.example", Bytes: 900},
		About:  []ledger.Name{ledger.Room(room), ledger.User(alice)},
	}
	in.Items = ledger.AppendItem(nil, []byte("$event"))
	return in
}

// BenchmarkRecord is one record when many are recorded at a time, from the intent to the disk.
func BenchmarkRecord(b *testing.B) {
	db := storagetest.Open(b, storage.Options{URL: filepath.Join(b.TempDir(), "x.db")})
	s := open(b, ledger.Options{DB: db, Key: key(b)})
	in := transactionIntent()
	b.SetParallelism(64)
	began := cputime.Used()
	defer func() { b.ReportMetric(float64(cputime.Used()-began)/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Begin(context.Background(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRead is what a delivery costs: a look into a table in memory.
func BenchmarkRead(b *testing.B) {
	db := storagetest.Open(b, storage.Options{URL: filepath.Join(b.TempDir(), "x.db")})
	s := open(b, ledger.Options{DB: db, Key: key(b)})
	r := ledger.Reader{Session: 1, User: alice}
	b.ResetTimer()
	for i := range b.N {
		r.Session = int64(i % 1000)
		s.Read(r, room, int64(i), int64(i), 1)
	}
}

// BenchmarkVerify200000 verifies a bundle of 200,000 records, and the database itself.
func BenchmarkVerify200000(b *testing.B) {
	db := storagetest.Open(b, storage.Options{URL: filepath.Join(b.TempDir(), "x.db")})
	k := key(b)
	s := open(b, ledger.Options{DB: db, Key: k})
	many := make([]ledger.Intent, 500)
	for i := range many {
		many[i] = intent("fr.example", "FR")
	}
	for range 400 {
		begin(b, s, many...)
	}
	if err := s.Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
	var bundle bytes.Buffer
	if err := ledger.Export(b.Context(), db, k.Public, &bundle); err != nil {
		b.Fatal(err)
	}
	how := ledger.Verification{Key: k.Public}
	b.Run("bundle", func(b *testing.B) {
		for b.Loop() {
			if r, err := ledger.VerifyBundle(bytes.NewReader(bundle.Bytes()), how); err != nil || len(r.Problems) > 0 || r.Records != 200_000 {
				b.Fatal(r, err)
			}
		}
	})
	b.Run("database", func(b *testing.B) {
		for b.Loop() {
			if r, err := ledger.Verify(b.Context(), db, how); err != nil || len(r.Problems) > 0 {
				b.Fatal(r, err)
			}
		}
	})
}
