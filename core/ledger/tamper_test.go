package ledger_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" //nolint:depguard // the attacker's own way to the file

	"rempart/core/ledger"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// victim is a log of 700 records with checkpoints at 100, 400 and 700, and a database to be changed behind its back.
type victim struct {
	db  *storage.DB
	key ledger.Key
	// early is the checkpoint of 400 records, late that of 700.
	early, late []byte
	raw         *sql.DB
}

func (v *victim) sql(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := v.raw.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func grow(t *testing.T, s *ledger.Service, n int, dest string) {
	t.Helper()
	in := make([]ledger.Intent, n)
	for i := range in {
		in[i] = intent(fmt.Sprintf("%s%d.example", dest, i), "FR")
		in[i].Items = ledger.AppendItem(nil, []byte(dest))
	}
	begin(t, s, in...)
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func newVictim(t *testing.T, url string) *victim {
	t.Helper()
	v := &victim{db: storagetest.Open(t, storage.Options{URL: url}), key: key(t)}
	anchor := filepath.Join(t.TempDir(), "head")
	s, err := ledger.New(t.Context(), ledger.Options{DB: v.db, Key: v.key, Anchor: anchor})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{100, 300, 300} {
		grow(t, s, n, "fr")
		raw, err := os.ReadFile(anchor)
		if err != nil {
			t.Fatal(err)
		}
		if v.late = raw; i == 1 {
			v.early = raw
		}
	}
	s.Close()
	driver := "sqlite"
	if strings.HasPrefix(url, "postgres") {
		driver = "postgres"
	}
	if v.raw, err = sql.Open(driver, url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.raw.Close() })
	return v
}

func TestTamperingIsNamed(t *testing.T) {
	const swap = `UPDATE ledger_records SET n = %d WHERE n = %d`
	for name, c := range map[string]struct {
		do   []string
		what string
		at   int64
	}{
		"edit":          {[]string{`UPDATE ledger_records SET body = REPLACE(CAST(body AS TEXT), '"FR"', '"US"') WHERE n = 250`}, "edited", 250},
		"edit of items": {[]string{`UPDATE ledger_records SET items = hashes WHERE n = 250`}, "edited", 250},
		"edit of time":  {[]string{`UPDATE ledger_records SET ts = 5 WHERE n = 250`}, "edited", 250},
		"hashes":        {[]string{`UPDATE ledger_records SET hashes = (SELECT hashes FROM ledger_records r WHERE r.n = 3) WHERE n = 251`}, "hashes", 251},
		"delete":        {[]string{`DELETE FROM ledger_records WHERE n = 250`}, "missing", 250},
		"reorder":       {[]string{fmt.Sprintf(swap, -1, 250), fmt.Sprintf(swap, 250, 262), fmt.Sprintf(swap, 262, -1)}, "reordered", 250},
		"truncate":      {[]string{`DELETE FROM ledger_records WHERE n >= 650`}, "truncated", 650},
		"truncate head": {[]string{`DELETE FROM ledger_records WHERE n >= 650`, `UPDATE ledger_head SET size = 650`}, "truncated", 650},
		"roll back": {[]string{`DELETE FROM ledger_records WHERE n >= 650`, `UPDATE ledger_head SET size = 650`,
			`DELETE FROM ledger_checkpoints WHERE size > 650`}, "rolled-back", 650},
		"empty a block": {[]string{`DELETE FROM ledger_records WHERE n < 255`}, "missing", 0},
	} {
		t.Run(name, func(t *testing.T) {
			pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, url string) {
				v := newVictim(t, url)
				how := ledger.Verification{Key: v.key.Public, Known: [][]byte{v.late}}
				sound(t, v.db, how)
				do := c.do
				if strings.HasPrefix(url, "postgres") {
					for i := range do {
						do[i] = strings.ReplaceAll(do[i], `REPLACE(CAST(body AS TEXT), '"FR"', '"US"')`, `CAST(REPLACE(CONVERT_FROM(body, 'UTF8'), '"FR"', '"US"') AS BYTEA)`)
					}
				}
				v.sql(t, do...)
				r, err := ledger.Verify(t.Context(), v.db, how)
				if err != nil || !found(r, c.what, c.at) {
					t.Errorf("%v\n%s", err, problems(r))
				}
				var bundle bytes.Buffer
				if err := ledger.Export(t.Context(), v.db, v.key.Public, &bundle); err != nil {
					t.Fatal(err)
				}
				if r, err := ledger.VerifyBundle(&bundle, how); err != nil || !found(r, c.what, c.at) {
					t.Errorf("bundle: %v\n%s", err, problems(r))
				}
			})
		})
	}
}

func found(r ledger.Report, what string, at int64) bool {
	for _, p := range r.Problems {
		if p.What == what && p.From == at {
			return true
		}
	}
	return false
}

func problems(r ledger.Report) string {
	var sb strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&sb, "%s %d-%d: %s\n", p.What, p.From, p.To, p.Text)
	}
	return sb.String()
}

// TestForks rewrites a whole log with the right key: only who kept an earlier checkpoint can tell, and the next start does.
func TestForks(t *testing.T) {
	pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, url string) {
		v := newVictim(t, url)
		v.sql(t, `DELETE FROM ledger_records`, `DELETE FROM ledger_checkpoints`, `DELETE FROM ledger_index`,
			`UPDATE ledger_head SET size = 0, edge = CAST('' AS `+map[bool]string{true: "BYTEA", false: "BLOB"}[strings.HasPrefix(url, "postgres")]+`)`)
		anchor := filepath.Join(t.TempDir(), "head")
		if err := os.WriteFile(anchor, v.early, 0o600); err != nil {
			t.Fatal(err)
		}
		forger, err := ledger.New(t.Context(), ledger.Options{DB: v.db, Key: v.key})
		if err != nil {
			t.Fatal(err)
		}
		grow(t, forger, 800, "us")
		offer, err := forger.Offer(t.Context(), 400)
		if err != nil {
			t.Fatal(err)
		}
		forger.Close()
		sound(t, v.db, ledger.Verification{Key: v.key.Public})
		r, err := ledger.Verify(t.Context(), v.db, ledger.Verification{Key: v.key.Public, Known: [][]byte{v.early}})
		if err != nil || !found(r, "fork", 0) {
			t.Errorf("%v\n%s", err, problems(r))
		}
		if _, err := ledger.Cosign(key(t), v.key.Public, v.early, offer); err == nil || !strings.Contains(err.Error(), "fork") {
			t.Errorf("a witness cosigned a fork: %v", err)
		}
		again := open(t, ledger.Options{DB: v.db, Key: v.key, Anchor: anchor})
		trail, err := again.LeftTerritory(t.Context(), 0, 0)
		if err != nil || again.Size() != 801 {
			t.Errorf("the fork was not recorded: %d records, %v %v", again.Size(), trail.Checkpoint, err)
		}
	})
}

func TestWitnesses(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k, w := key(t), witnessKey(t)
		s := open(t, ledger.Options{DB: db, Key: k, Witnesses: []string{w.Public}})
		var last []byte
		since := int64(0)
		for _, n := range []int{10, 300} {
			grow(t, s, n, "fr")
			offer, err := s.Offer(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			note, err := ledger.Cosign(w, k.Public, last, offer)
			if err != nil {
				t.Fatal(err)
			}
			state, err := s.AddCosignature(t.Context(), note)
			if err != nil || len(state.Signers) != 2 {
				t.Fatalf("%+v %v", state, err)
			}
			last, since = note, state.Size
		}
		if r := sound(t, db, ledger.Verification{Key: k.Public, Witnesses: []string{w.Public}}); r.Witnessed != 310 {
			t.Errorf("witnessed %d", r.Witnessed)
		}
		old, err := s.Offer(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		old.Proof = old.Proof[1:]
		if _, err := ledger.Cosign(w, k.Public, last[:], old); err != nil {
			t.Errorf("the same checkpoint needs no proof: %v", err)
		}
	})
}

func witnessKey(t *testing.T) ledger.Key {
	t.Helper()
	k, err := ledger.LoadOrCreateKey(filepath.Join(t.TempDir(), "witness.key"), "prefecture.example")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestNothingLeavesUnrecorded takes the database away.
func TestNothingLeavesUnrecorded(t *testing.T) {
	db, err := storage.Open(t.Context(), storage.Options{URL: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	strict := open(t, ledger.Options{DB: db, Key: key(t)})
	lax := open(t, ledger.Options{DB: db, Key: key(t), Lax: true})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Begin(context.Background(), intent("fr.example", "FR")); err == nil {
		t.Error("something left without a record")
	}
	if p, err := lax.Begin(context.Background(), intent("fr.example", "FR")); err != nil {
		t.Error(err)
	} else {
		p[0].End(ledger.Outcome{OK: true})
	}
}
