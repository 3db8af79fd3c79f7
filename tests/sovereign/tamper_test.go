package sovereign

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" //nolint:depguard // the attacker's own way to the file

	"rempart/internal/testkit/mx"
)

// store is a copy of what stands on a server's disk: its database and the checkpoint beside it.
type store map[string][]byte

// parts are the files of the record.
var parts = []string{"rempart.db", "rempart.db-wal", "rempart.db-shm", "ledger.key.head"}

// keep copies the files of a server that does not run.
func (w *town) keep() store {
	s := store{}
	for _, name := range parts {
		if b, err := os.ReadFile(filepath.Join(w.Dir, name)); err == nil {
			s[name] = b
		}
	}
	if s["rempart.db"] == nil || s["ledger.key.head"] == nil {
		w.l.t.Fatal("the database or the checkpoint is not where it was thought to be")
	}
	return s
}

// put puts files in place of what there is.
func (w *town) put(s store, only ...string) {
	w.l.t.Helper()
	if only == nil {
		only = parts
	}
	for _, name := range only {
		file := filepath.Join(w.Dir, name)
		_ = os.Remove(file)
		if b, ok := s[name]; ok {
			mx.Must(w.l.t, os.WriteFile(file, b, 0o600))
		}
	}
}

// works makes n records, by asking for servers that are refused.
func (w *town) works(what string, n int) {
	w.l.t.Helper()
	for i := range n {
		_ = w.alice.Do(w.l.t.Context(), "GET", fmt.Sprintf("/_matrix/client/v3/directory/room/%%23a:%s%d.lab", what, i), nil, nil)
	}
	if got := len(w.trace(what + "0.lab")); got == 0 {
		w.l.t.Fatal("the refusal is not recorded")
	}
}

// verify runs the officer's command.
func (w *town) verify(more ...string) (string, error) {
	return w.Command(append([]string{"ledger", "verify"}, more...)...)
}

// TestTamperingWithAServersRecord changes the record of a real server in every way: the command names what was done and where.
func TestTamperingWithAServersRecord(t *testing.T) {
	l := newLab(t)
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab"), "")
	w.works("early", 30)
	w.Stop()
	early := w.keep()
	w.Restart()
	w.works("late", 60)
	w.Stop()
	late := w.keep()
	out, err := w.verify()
	size := regexp.MustCompile(`(?m)^(\d+) records`).FindStringSubmatch(out)
	if err != nil || size == nil {
		t.Fatalf("the record as it is: %v\n%s", err, out)
	}
	var n int64
	_, _ = fmt.Sscan(size[1], &n)
	if n < 80 {
		t.Fatalf("only %d records", n)
	}
	for name, c := range map[string]struct {
		do   []string
		want string
	}{
		"edit": {[]string{`UPDATE ledger_records SET body = CAST(REPLACE(CAST(body AS TEXT), 'late', 'lute') AS BLOB) WHERE n = (SELECT MIN(n) FROM ledger_records WHERE CAST(body AS TEXT) LIKE '%late7.lab%')`},
			`EDITED: record \d+ was edited`},
		"edit of the time": {[]string{`UPDATE ledger_records SET ts = ts - 3600000 WHERE n = 40`}, `EDITED: record 40 `},
		"delete":           {[]string{`DELETE FROM ledger_records WHERE n = 41`}, `MISSING: records 41 to 41 are missing`},
		"delete and close the gap": {[]string{`DELETE FROM ledger_records WHERE n = 41`, `UPDATE ledger_records SET n = -n WHERE n > 41`,
			`UPDATE ledger_records SET n = -n - 1 WHERE n < 0`, `UPDATE ledger_head SET size = size - 1`}, `REORDERED: record 42 stands where record 41 belongs`},
		"reorder": {[]string{`UPDATE ledger_records SET n = -1 WHERE n = 42`, `UPDATE ledger_records SET n = 42 WHERE n = 44`, `UPDATE ledger_records SET n = 44 WHERE n = -1`},
			`REORDERED: record 44 stands where record 42 belongs`},
		"truncate": {[]string{`DELETE FROM ledger_records WHERE n >= 50`}, `TRUNCATED: `},
		"roll back in the tables": {[]string{`DELETE FROM ledger_records WHERE n >= 50`, `DELETE FROM ledger_checkpoints WHERE size > 50`, `UPDATE ledger_head SET size = 50`},
			`ROLLED-BACK: `},
		"hashes": {[]string{`UPDATE ledger_records SET hashes = (SELECT hashes FROM ledger_records r WHERE r.n = 2) WHERE n = 44`}, `(?s)EDITED: record 44 .*HASHES: `},
	} {
		w.put(late)
		w.sql(c.do...)
		if out, err := w.verify(); err == nil || !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: %v, wanted %s\n%s", name, err, c.want, out)
		}
	}

	// The database of yesterday is put back; the checkpoint beside it was forgotten.
	w.put(early, "rempart.db", "rempart.db-wal", "rempart.db-shm")
	w.put(late, "ledger.key.head")
	if out, err := w.verify(); err == nil || !strings.Contains(out, "ROLLED-BACK") {
		t.Errorf("yesterday's database: %v\n%s", err, out)
	}
	w.Restart()
	w.l.until("the server says so itself", func() bool {
		return strings.Contains(w.Log(), "rolled back: the log is shorter than a checkpoint says")
	})
	w.Stop()

	// All of yesterday is put back, and the server goes on as if nothing had been: whoever kept a checkpoint can tell.
	kept := filepath.Join(t.TempDir(), "kept.head")
	mx.Must(t, os.WriteFile(kept, late["ledger.key.head"], 0o600))
	w.put(early)
	w.Restart()
	w.works("other", 90)
	w.Stop()
	if out, err := w.verify(); err != nil {
		t.Errorf("a fork is sound to who has nothing to compare it with: %v\n%s", err, out)
	}
	if out, err := w.verify("-checkpoint", kept); err == nil || !regexp.MustCompile(`FORK: .*they differ somewhere in records \d+ to`).MatchString(out) {
		t.Errorf("a fork: %v\n%s", err, out)
	}
	if now := w.keep(); bytes.Equal(now["ledger.key.head"], late["ledger.key.head"]) {
		t.Error("the checkpoint is that of before")
	}
}

// sql changes the database of a server that does not run.
func (w *town) sql(statements ...string) {
	w.l.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.Dir, "rempart.db"))
	mx.Must(w.l.t, err)
	for _, s := range statements {
		if _, err := db.ExecContext(w.l.t.Context(), s); err != nil {
			w.l.t.Fatalf("%s: %v", s, err)
		}
	}
	mx.Must(w.l.t, db.Close())
}

// TestReadsAndErasure has people read, at home and from abroad, and one of them be erased.
func TestReadsAndErasure(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab"), "")
	p := l.peer("prefecture.lab", "127.10.0.2")
	p.answers(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"pdus":{}}`)) })
	room, err := w.alice.CreateRoom(ctx, object{"preset": "public_chat", "room_version": "11"})
	mx.Must(t, err)
	mx.Must(t, p.join("mairie.lab", matrixRoom(room), "@bob:prefecture.lab"))
	for i := range 3 {
		_, err := w.alice.Send(ctx, room, fmt.Sprint(i), "said")
		mx.Must(t, err)
	}
	_, err = w.alice.Sync(ctx, "", 0)
	mx.Must(t, err)
	_, err = w.alice.History(ctx, room)
	mx.Must(t, err)
	var trail []entry
	l.until("the partner is told", func() bool {
		trail = w.asks("trace/room/" + url.PathEscape(room))
		return slices.ContainsFunc(trail, func(e entry) bool { return e.Kind == "transaction" })
	})
	kinds := map[string]int{}
	for _, e := range trail {
		kinds[e.Kind]++
		if e.Kind == "read" && (e.Count < 3 || e.Session == "" || !slices.Contains(e.About, "user "+w.alice.UserID) || !slices.Contains(e.About, "room "+room)) {
			t.Errorf("a read: %+v", e)
		}
	}
	if kinds["read"] == 0 || kinds["answer"] == 0 {
		t.Errorf("the room's trace: %v", kinds)
	}
	if len(w.asks("read-abroad")) != 0 {
		t.Error("who reads from this machine is said to be abroad")
	}
	w.onMission(room)

	mx.Must(t, w.boss.Do(ctx, "POST", "/_synapse/admin/v1/deactivate/"+w.alice.UserID, object{"erase": true}, nil))
	forgotten := func() bool {
		return len(w.asks("trace/user/"+url.PathEscape(w.alice.UserID))) == 0 &&
			!slices.ContainsFunc(w.asks("trace/room/"+url.PathEscape(room)), func(e entry) bool { return slices.Contains(e.About, "user "+w.alice.UserID) })
	}
	l.until("no record names her", func() bool {
		w.Stop()
		w.Restart() // it forgets at each start; that she left may still be on its way to the partner, which names her once more
		for patience := time.Now().Add(5 * time.Second); !forgotten(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(patience) {
				return false
			}
		}
		return true
	})
	if out, err := w.verify(); err != nil {
		t.Errorf("verify after the erasure: %v\n%s", err, out)
	}
}
