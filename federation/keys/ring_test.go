package keys_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"rempart/core"
	"rempart/federation/keys"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// world is servers that publish keys, and a clock.
type world struct {
	mu    sync.Mutex
	now   time.Time
	says  map[matrix.ServerName]json.RawMessage
	asked map[matrix.ServerName]int
}

func newWorld() *world {
	return &world{now: time.UnixMilli(1_800_000_000_000), says: map[matrix.ServerName]json.RawMessage{}, asked: map[matrix.ServerName]int{}}
}

// ServerKeys implements keys.Fetcher.
func (w *world) ServerKeys(_ context.Context, server matrix.ServerName) (json.RawMessage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[server]++
	if raw, ok := w.says[server]; ok {
		return raw, nil
	}
	return nil, errors.New("unreachable")
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) ms() int64 { return w.clock().UnixMilli() }

func (w *world) count(server matrix.ServerName) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[server]
}

// publish makes a server say something of its keys. A key in "stolen" is published without its signature.
func (w *world) publish(t *testing.T, server matrix.ServerName, valid time.Duration, own []matrix.SigningKey, change ...func(map[string]any)) {
	t.Helper()
	verify := map[string]any{}
	for _, k := range own {
		verify[k.KeyID] = map[string]string{"key": base64.RawStdEncoding.EncodeToString(k.Public())}
	}
	object := map[string]any{"server_name": server, "verify_keys": verify, "valid_until_ts": w.clock().Add(valid).UnixMilli()}
	for _, f := range change {
		f(object)
	}
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range own {
		if raw, err = matrix.SignJSON(raw, k); err != nil {
			t.Fatal(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says[server] = raw
}

func (w *world) ring(db *storage.DB) *keys.Ring {
	return keys.New(keys.Options{DB: db, Fetch: w, Clock: w.clock})
}

func newKey(t *testing.T, server matrix.ServerName) matrix.SigningKey {
	t.Helper()
	k, err := matrix.GenerateSigningKey(server)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func has(t *testing.T, r *keys.Ring, k matrix.SigningKey, at int64) bool {
	t.Helper()
	pub, err := r.Key(t.Context(), k.ServerName, k.KeyID, at)
	if err != nil && !matrix.HasCode(err, matrix.CodeUnauthorized) {
		t.Error(err)
	}
	return err == nil && string(pub) == string(k.Public())
}

func TestKeysAreFetchedOnceAndKept(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		k := newKey(t, "a.org")
		w.publish(t, "a.org", 24*time.Hour, []matrix.SigningKey{k})
		r := w.ring(db)
		for range 3 {
			if !has(t, r, k, w.ms()) {
				t.Fatal("the key is not known")
			}
		}
		delete(w.says, "a.org")
		if !has(t, w.ring(db), k, w.ms()) || w.count("a.org") != 1 {
			t.Errorf("after a restart: asked %d times", w.count("a.org"))
		}
	})
}

func TestValidity(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		long, short, past := newKey(t, "long.org"), newKey(t, "short.org"), newKey(t, "past.org")
		w.publish(t, "long.org", 365*24*time.Hour, []matrix.SigningKey{long})
		w.publish(t, "short.org", time.Hour, []matrix.SigningKey{short})
		w.publish(t, "past.org", -time.Hour, []matrix.SigningKey{past})
		r, day, hour := w.ring(db), 24*time.Hour.Milliseconds(), time.Hour.Milliseconds()
		for _, c := range []struct {
			name string
			key  matrix.SigningKey
			at   int64
			ok   bool
		}{
			{"a week at most", long, w.ms() + 7*day, true},
			{"not longer", long, w.ms() + 8*day, false},
			{"as long as said", short, w.ms() + hour, true},
			{"not longer", short, w.ms() + 2*hour, false},
			{"run out", past, w.ms(), false},
			{"run out, for what is older", past, w.ms() - 2*hour, true},
			{"run out, where no time counts", past, 0, true},
		} {
			if has(t, r, c.key, c.at) != c.ok {
				t.Errorf("%s: %s", c.key.ServerName, c.name)
			}
		}
		// The server says anew that its key is valid.
		w.pass(2 * time.Hour)
		w.publish(t, "short.org", time.Hour, []matrix.SigningKey{short})
		if !has(t, r, short, w.ms()) {
			t.Error("a key that was renewed is not taken")
		}
	})
}

func TestOldKeys(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		now, old := newKey(t, "a.org"), newKey(t, "a.org")
		now.KeyID, old.KeyID = "ed25519:new", "ed25519:old"
		expired := w.ms() - 1000
		w.publish(t, "a.org", time.Hour, []matrix.SigningKey{now}, func(o map[string]any) {
			o["old_verify_keys"] = map[string]any{old.KeyID: map[string]any{
				"key": base64.RawStdEncoding.EncodeToString(old.Public()), "expired_ts": expired}}
		})
		r := w.ring(db)
		if !has(t, r, now, w.ms()) || !has(t, r, old, expired-1) || has(t, r, old, w.ms()) || !has(t, r, old, 0) {
			t.Error("an old key counts for what is older than its end, and only for that")
		}
	})
}

func TestAnswersThatAreNotTaken(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		own, other := newKey(t, "a.org"), newKey(t, "a.org")
		own.KeyID, other.KeyID = "ed25519:own", "ed25519:other"
		elsewhere := newKey(t, "b.org")
		for i, c := range []struct {
			name string
			say  func()
		}{
			{"another server's", func() {
				w.publish(t, "b.org", time.Hour, []matrix.SigningKey{elsewhere})
				w.says["a.org"] = w.says["b.org"]
			}},
			{"for another server", func() {
				w.publish(t, "a.org", time.Hour, []matrix.SigningKey{own}, func(o map[string]any) { o["server_name"] = "b.org" })
			}},
			{"not signed", func() {
				w.says["a.org"] = json.RawMessage(`{"server_name":"a.org","verify_keys":{"ed25519:own":{"key":"` +
					base64.RawStdEncoding.EncodeToString(own.Public()) + `"}},"valid_until_ts":1900000000000}`)
			}},
			{"signed by a key that is not in it", func() {
				w.publish(t, "a.org", time.Hour, []matrix.SigningKey{other}, func(o map[string]any) {
					o["verify_keys"] = map[string]any{own.KeyID: map[string]string{"key": base64.RawStdEncoding.EncodeToString(own.Public())}}
				})
			}},
			{"changed after it was signed", func() {
				w.publish(t, "a.org", time.Hour, []matrix.SigningKey{own})
				var o map[string]any
				_ = json.Unmarshal(w.says["a.org"], &o)
				o["valid_until_ts"] = w.ms() + 1
				w.says["a.org"], _ = json.Marshal(o)
			}},
			{"no JSON", func() { w.says["a.org"] = json.RawMessage(`{"server_name"`) }},
			{"too many keys", func() {
				w.publish(t, "a.org", time.Hour, []matrix.SigningKey{own}, func(o map[string]any) {
					many := map[string]any{}
					for n := range 1000 {
						many["ed25519:x"+string(rune('a'+n%26))+time.Duration(n).String()] = map[string]any{"key": "", "expired_ts": 1}
					}
					o["old_verify_keys"] = many
				})
			}},
		} {
			w.pass(time.Duration(i+1) * time.Hour)
			c.say()
			if has(t, w.ring(db), own, w.ms()) {
				t.Errorf("taken: %s", c.name)
			}
		}
	})
}

// A key of somebody else among one's own counts for nothing without its signature, and does no harm to the others.
func TestStolenPublicKeys(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		own, stolen := newKey(t, "a.org"), newKey(t, "a.org")
		own.KeyID, stolen.KeyID = "ed25519:own", "ed25519:stolen"
		w.publish(t, "a.org", time.Hour, []matrix.SigningKey{own}, func(o map[string]any) {
			o["verify_keys"].(map[string]any)[stolen.KeyID] = map[string]string{"key": base64.RawStdEncoding.EncodeToString(stolen.Public())}
		})
		r := w.ring(db)
		if !has(t, r, own, w.ms()) || has(t, r, stolen, w.ms()) {
			t.Error("a key counts that has not signed")
		}
	})
}

// Another key under the id of one that is valid is not taken until that has run out.
func TestReusedKeyIDs(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		first, second := newKey(t, "a.org"), newKey(t, "a.org")
		second.KeyID = first.KeyID
		w.publish(t, "a.org", 2*time.Hour, []matrix.SigningKey{first})
		r := w.ring(db)
		if !has(t, r, first, w.ms()) {
			t.Fatal("the key is not known")
		}
		w.pass(time.Hour)
		w.publish(t, "a.org", 24*time.Hour, []matrix.SigningKey{second})
		if has(t, r, second, w.ms()+2*time.Hour.Milliseconds()) || !has(t, r, first, w.ms()) {
			t.Error("a valid key was replaced")
		}
		w.pass(2 * time.Hour)
		if !has(t, r, second, w.ms()) {
			t.Error("a server that lost its key can never return")
		}
	})
}

func TestServersAreNotAskedAllTheTime(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		k, dead := newKey(t, "a.org"), newKey(t, "dead.org")
		w.publish(t, "a.org", 24*time.Hour, []matrix.SigningKey{k})
		r := w.ring(db)
		for i := range 600 { // ten minutes; a peer names a new key each second
			forged := k
			forged.KeyID = "ed25519:" + string(rune('a'+i%26)) + "x"
			if has(t, r, forged, w.ms()) || has(t, r, dead, w.ms()) || !has(t, r, k, w.ms()) {
				t.Fatal("wrong answer")
			}
			w.pass(time.Second)
		}
		if n := w.count("a.org"); n > 21 {
			t.Errorf("a server was asked %d times in ten minutes", n)
		}
		if n := w.count("dead.org"); n < 5 || n > 16 {
			t.Errorf("a dead server was asked %d times in ten minutes", n)
		}
	})
}

// Who gave no answer may have the key: that is told apart from an answer without it, also while the server is left alone for a moment.
func TestSilenceIsNoAnswer(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		k, other := newKey(t, "a.org"), newKey(t, "a.org")
		other.KeyID = "ed25519:other"
		r := w.ring(db)
		asks := func(k matrix.SigningKey, silent bool) {
			t.Helper()
			for range 2 { // the second is not asked for
				if _, err := r.Key(t.Context(), k.ServerName, k.KeyID, w.ms()); !matrix.HasCode(err, matrix.CodeUnauthorized) || errors.Is(err, core.ErrUnreached) != silent {
					t.Errorf("%s: %v", k.KeyID, err)
				}
			}
			w.pass(time.Hour)
		}
		asks(k, true)
		w.says["a.org"] = json.RawMessage(`{"no":"keys"}`)
		asks(k, false)
		w.publish(t, "a.org", 24*time.Hour, []matrix.SigningKey{other})
		asks(k, false)
		delete(w.says, "a.org")
		asks(k, true)
		v, _ := matrix.Version("11")
		e, err := v.Build(matrix.Proto{RoomID: "!r:a.org", Sender: "@x:a.org", Type: "m.room.message", Content: []byte(`{}`), OriginServerTS: w.ms()}, k)
		if err != nil {
			t.Fatal(err)
		}
		if errs := r.VerifyEvents(t.Context(), []*matrix.Event{e}); !errors.Is(errs[0], core.ErrUnreached) {
			t.Error(errs[0])
		}
	})
}

func TestManyWaitForOneAnswer(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		k := newKey(t, "a.org")
		w.publish(t, "a.org", 24*time.Hour, []matrix.SigningKey{k})
		r := w.ring(db)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if !has(t, r, k, w.ms()) {
					t.Error("the key is not known")
				}
			})
		}
		wg.Wait()
		if w.count("a.org") != 1 {
			t.Errorf("asked %d times", w.count("a.org"))
		}
	})
}

func TestOwnKeys(t *testing.T) {
	w := newWorld()
	k := newKey(t, "us.org")
	old := newKey(t, "us.org")
	old.KeyID = "ed25519:old"
	r := keys.New(keys.Options{
		Clock: w.clock, Default: "us.org", Own: map[matrix.ServerName][]matrix.SigningKey{"us.org": {k}},
		Old: map[matrix.ServerName][]matrix.OldKey{"us.org": {{KeyID: old.KeyID, Public: old.Public(), Expired: 5}}},
	})
	raw, err := r.Publish("us.org")
	if err != nil || matrix.VerifyJSON(raw, "us.org", k.KeyID, k.Public()) != nil {
		t.Fatalf("%s %v", raw, err)
	}
	w.mu.Lock()
	w.says["us.org"] = raw
	w.mu.Unlock()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) { // others understand it
		theirs := w.ring(db)
		if !has(t, theirs, k, w.ms()) || !has(t, theirs, old, 4) || has(t, theirs, old, 6) {
			t.Error("others read something else")
		}
	})
	if !has(t, r, k, w.ms()) || !has(t, r, old, 4) || has(t, r, old, 6) {
		t.Error("own keys are not known")
	}
	if _, err := r.Publish("b.org"); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Error(err)
	}
}

func TestEvents(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld()
		a, b := newKey(t, "a.org"), newKey(t, "b.org")
		w.publish(t, "a.org", time.Hour, []matrix.SigningKey{a})
		forged := newKey(t, "b.org")
		forged.KeyID = b.KeyID
		w.publish(t, "b.org", time.Hour, []matrix.SigningKey{b})
		event := func(version string, sender matrix.UserID, k matrix.SigningKey, ts int64) *matrix.Event {
			v, _ := matrix.Version(version)
			e, err := v.Build(matrix.Proto{RoomID: "!r:a.org", Sender: sender, Type: "m.room.message", Content: []byte(`{}`),
				Depth: 1, OriginServerTS: ts}, k)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		late := w.ms() + 10*24*time.Hour.Milliseconds()
		events := []*matrix.Event{
			event("10", "@x:a.org", a, w.ms()), event("10", "@y:b.org", b, w.ms()), event("10", "@y:b.org", forged, w.ms()),
			event("10", "@y:b.org", a, w.ms()), event("10", "@x:a.org", a, late), event("4", "@x:a.org", a, late),
		}
		want := []bool{true, true, false, false, false, true}
		for i, err := range w.ring(db).VerifyEvents(t.Context(), events) {
			if (err == nil) != want[i] {
				t.Errorf("event %d: %v", i, err)
			}
		}
	})
}
