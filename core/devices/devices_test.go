package devices_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"rempart/core/devices"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// rig is the service on a database of one engine.
type rig struct {
	*devices.Service
	t  *testing.T
	db *storage.DB
}

func local(name matrix.ServerName) bool { return name == "hs1" }

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	events := bus.New[storage.Batch]()
	storagetest.EachWith(t, storage.Options{Publish: events.Publish}, func(t *testing.T, db *storage.DB) {
		fn(t, &rig{devices.New(devices.Options{DB: db, Bus: events, Local: local}), t, db})
	})
}

// device makes a device of a user.
func (r *rig) device(user matrix.UserID, id matrix.DeviceID) matrix.Caller {
	r.t.Helper()
	nid, err := r.db.UserNID(r.t.Context(), user)
	if err != nil {
		r.t.Fatal(err)
	}
	fresh, err := r.db.NewID(r.t.Context(), storage.DeviceNIDs)
	if err != nil {
		r.t.Fatal(err)
	}
	c := matrix.Caller{User: user, UserNID: nid, Device: id}
	change := &storage.Change{}
	change.Guard(storage.InsertDevice(storage.Device{NID: fresh, User: nid, ID: id, DisplayName: "name of " + string(id)}, &c.DeviceNID))
	if err := r.db.Commit(r.t.Context(), change); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) upload(c matrix.Caller, text string) map[string]int64 {
	r.t.Helper()
	counts, err := r.tryUpload(c, text)
	if err != nil {
		r.t.Fatal(err)
	}
	return counts
}

func (r *rig) tryUpload(c matrix.Caller, text string) (map[string]int64, error) {
	r.t.Helper()
	var up devices.Upload
	if err := json.Unmarshal([]byte(text), &up); err != nil {
		r.t.Fatal(err)
	}
	return r.UploadKeys(r.t.Context(), c, up)
}

func (r *rig) claim(c matrix.Caller) string {
	r.t.Helper()
	got, _, err := r.ClaimKeys(r.t.Context(), "hs1", devices.ClaimRequest{c.User: {c.Device: "signed_curve25519"}})
	if err != nil {
		r.t.Fatal(err)
	}
	for name, body := range got[c.User][c.Device] {
		return name + "=" + string(body)
	}
	return ""
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	if !matrix.HasCode(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func TestOneTimeKeys(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		c := r.device("@alice:hs1", "A")
		if n := r.upload(c, `{"one_time_keys":{"signed_curve25519:1":{"key":"k1"}}}`)["signed_curve25519"]; n != 1 {
			t.Errorf("%d keys, want 1", n)
		}
		// The same again, in another spelling, is no error; another key under that name is.
		if n := r.upload(c, `{"one_time_keys":{"signed_curve25519:1":{ "key" : "k1" },"signed_curve25519:0":{"key":"k0"}}}`)["signed_curve25519"]; n != 2 {
			t.Errorf("%d keys, want 2", n)
		}
		_, err := r.tryUpload(c, `{"one_time_keys":{"signed_curve25519:1":{"key":"other"},"signed_curve25519:5":{"key":"k5"}}}`)
		refused(t, err, matrix.CodeInvalidParam)
		// In the order of upload, then nothing.
		for _, want := range []string{`signed_curve25519:1={"key":"k1"}`, `signed_curve25519:0={"key":"k0"}`, ""} {
			if got := r.claim(c); got != want {
				t.Errorf("claimed %q, want %q", got, want)
			}
		}
		// A repeated upload does not bring back what was handed out.
		if n := r.upload(c, `{"one_time_keys":{"signed_curve25519:1":{"key":"k1"}}}`)["signed_curve25519"]; n != 0 || r.claim(c) != "" {
			t.Error("a key that was handed out came back")
		}
		// Another key may take its name.
		r.upload(c, `{"one_time_keys":{"signed_curve25519:1":{"key":"new"}}}`)
		if got := r.claim(c); got != `signed_curve25519:1={"key":"new"}` {
			t.Errorf("claimed %q", got)
		}
		for _, bad := range []string{`{"one_time_keys":{"noalgorithm":{}}}`, `{"one_time_keys":{":x":{}}}`, `{"one_time_keys":{"x:":{}}}`} {
			_, err := r.tryUpload(c, bad)
			refused(t, err, matrix.CodeInvalidParam)
		}
		_, err = r.tryUpload(c, `{"one_time_keys":{"a:b":7}}`)
		refused(t, err, matrix.CodeBadJSON)
		got, failures, err := r.ClaimKeys(t.Context(), "hs1", devices.ClaimRequest{
			"@alice:hs1": {"NONE": "signed_curve25519"}, "@no:hs1": {"A": "x"}, "@far:elsewhere": {"A": "x"},
		})
		if err != nil || len(got) != 0 || len(failures) != 1 {
			t.Errorf("%v, %v, %v", got, failures, err)
		}
	})
}

func TestFallbackKeys(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		c := r.device("@alice:hs1", "A")
		const key = `{"fallback_keys":{"signed_curve25519:f":{"key":"f","fallback":true}}}`
		r.upload(c, key)
		unused := func() int {
			list, err := r.db.ListUnusedFallback(t.Context(), c.DeviceNID)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if unused() != 1 {
			t.Error("a fresh fallback key must count as unused")
		}
		r.upload(c, `{"one_time_keys":{"signed_curve25519:1":{"key":"k1"}}}`)
		for _, want := range []string{`signed_curve25519:1={"key":"k1"}`, `signed_curve25519:f={"fallback":true,"key":"f"}`, `signed_curve25519:f={"fallback":true,"key":"f"}`} {
			if got := r.claim(c); got != want {
				t.Errorf("claimed %q, want %q", got, want)
			}
		}
		if r.upload(c, key); unused() != 0 {
			t.Error("the same fallback key uploaded again counts as unused")
		}
		if r.upload(c, `{"fallback_keys":{"signed_curve25519:g":{"key":"g"}}}`); unused() != 1 {
			t.Error("a new fallback key must count as unused")
		}
	})
}

// hand claims from many goroutines over some services and counts how often each key was handed out.
func hand(t *testing.T, services []*devices.Service, targets []matrix.Caller, claims int) map[string]int {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[string]int{}
	for i := range claims {
		all.Go(func() {
			want := devices.ClaimRequest{}
			for _, c := range targets {
				want[c.User] = map[matrix.DeviceID]string{c.Device: "signed_curve25519"}
			}
			keys, _, err := services[i%len(services)].ClaimKeys(t.Context(), "hs1", want)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for user, byDevice := range keys {
				for device, key := range byDevice {
					for name := range key {
						got[fmt.Sprint(user, device, name)]++
					}
				}
			}
		})
	}
	all.Wait()
	return got
}

// fill makes devices with n keys each.
func fill(r *rig, users, n int) []matrix.Caller {
	var out []matrix.Caller
	for u := range users {
		c := r.device(matrix.UserID(fmt.Sprintf("@u%d:hs1", u)), "D")
		keys := map[string]json.RawMessage{}
		for k := range n {
			keys[fmt.Sprintf("signed_curve25519:%d", k)] = json.RawMessage(fmt.Sprintf(`{"key":"%d"}`, k))
		}
		if _, err := r.UploadKeys(r.t.Context(), c, devices.Upload{OneTimeKeys: keys}); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func checkHanded(t *testing.T, got map[string]int, want int) {
	t.Helper()
	for key, times := range got {
		if times != 1 {
			t.Errorf("%s was handed out %d times", key, times)
		}
	}
	if len(got) != want {
		t.Errorf("%d keys were handed out, want %d", len(got), want)
	}
}

func TestNoKeyIsHandedOutTwice(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		targets := fill(r, 3, 40)
		checkHanded(t, hand(t, []*devices.Service{r.Service}, targets, 60), 120)
	})
}

func TestNoKeyIsHandedOutTwiceByTwoNodes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		if !storage.IsPostgres(url) {
			t.Skip("two nodes share a PostgreSQL")
		}
		var services []*devices.Service
		for range 2 {
			db := storagetest.Open(t, storage.Options{URL: url})
			services = append(services, devices.New(devices.Options{DB: db, Local: local}))
			if len(services) == 2 {
				r := &rig{services[0], t, db}
				targets := fill(r, 4, 40)
				checkHanded(t, hand(t, services, targets, 60), 160)
			}
		}
	})
}

func TestIdentityKeys(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		a, b := r.device("@alice:hs1", "A"), r.device("@alice:hs1", "B")
		keys := func(user, device string) string {
			return fmt.Sprintf(`{"device_keys":{"user_id":%q,"device_id":%q,"algorithms":["x"],"keys":{"ed25519:A":"k"},"signatures":{"@alice:hs1":{"ed25519:A":"s"}},"unsigned":{"device_display_name":"forged"}}}`, user, device)
		}
		_, err := r.tryUpload(a, keys("@bob:hs1", "A"))
		refused(t, err, matrix.CodeInvalidParam)
		_, err = r.tryUpload(a, keys("@alice:hs1", "B"))
		refused(t, err, matrix.CodeInvalidParam)
		_, err = r.tryUpload(a, `{"device_keys":{"user_id":"@alice:hs1","device_id":"A"}}`)
		refused(t, err, matrix.CodeBadJSON)
		pos := func() int64 {
			p, err := r.db.DeviceListPos(t.Context(), a.UserNID)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		r.upload(a, keys("@alice:hs1", "A"))
		first := pos()
		if first == 0 {
			t.Error("a first upload must be told to others")
		}
		r.upload(a, keys("@alice:hs1", "A"))
		if pos() != first {
			t.Error("an upload that changes nothing was told to others")
		}
		r.upload(b, keys("@alice:hs1", "B"))
		if pos() <= first {
			t.Error("a further device must be told to others")
		}
		got, err := r.QueryKeys(t.Context(), b, map[matrix.UserID][]matrix.DeviceID{"@alice:hs1": {"A"}, "@none:hs1": nil, "@far:elsewhere": nil})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(got.DeviceKeys)
		want := `{"@alice:hs1":{"A":{"algorithms":["x"],"device_id":"A","keys":{"ed25519:A":"k"},"signatures":{"@alice:hs1":{"ed25519:A":"s"}},"user_id":"@alice:hs1","unsigned":{"device_display_name":"name of A"}}},"@none:hs1":{}}`
		if string(text) != want || len(got.Failures) != 1 {
			t.Errorf("got  %s\nwant %s\nfailures %v", text, want, got.Failures)
		}
		if err := r.Delete(t.Context(), b, []matrix.DeviceID{"A", "UNKNOWN"}); err != nil {
			t.Fatal(err)
		}
		if got, err = r.QueryKeys(t.Context(), b, map[matrix.UserID][]matrix.DeviceID{"@alice:hs1": nil}); err != nil || len(got.DeviceKeys["@alice:hs1"]) != 1 {
			t.Errorf("after deletion: %v, %v", got, err)
		}
	})
}

func TestToDevice(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, b1, b2 := r.device("@alice:hs1", "A"), r.device("@bob:hs1", "B1"), r.device("@bob:hs1", "B2")
		send := func(txn string, to devices.Messages) {
			t.Helper()
			if err := r.SendToDevice(t.Context(), alice, "m.test", txn, to); err != nil {
				t.Fatal(err)
			}
		}
		inbox := func(c matrix.Caller, after int64) []storage.ToDevice {
			t.Helper()
			list, err := r.db.ListToDevice(t.Context(), c.DeviceNID, after, r.db.Position(), 100)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		to := devices.Messages{"@bob:hs1": {"*": json.RawMessage(`{"n":1}`), "B2": json.RawMessage(`{"n":2}`)}, "@no:hs1": {"*": json.RawMessage(`{}`)}}
		send("t1", to)
		send("t1", to) // repeated
		one, two := inbox(b1, 0), inbox(b2, 0)
		if len(one) != 1 || string(one[0].Content) != `{"n":1}` || one[0].Sender != "@alice:hs1" || one[0].Type != "m.test" {
			t.Errorf("B1 has %+v", one)
		}
		if len(two) != 1 || string(two[0].Content) != `{"n":2}` {
			t.Errorf("B2 has %+v", two)
		}
		send("t2", to)
		change := &storage.Change{}
		change.Guard(storage.DeleteToDevice(b1.DeviceNID, one[0].Pos))
		if err := r.db.Commit(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if left := inbox(b1, 0); len(left) != 1 || left[0].Pos <= one[0].Pos {
			t.Errorf("after receipt B1 has %+v", left)
		}
		refused(t, r.SendToDevice(t.Context(), alice, "m.test", "t3", devices.Messages{"@bob:hs1": {"B1": json.RawMessage(`[]`)}}), matrix.CodeBadJSON)
		big := json.RawMessage(`{"x":"` + string(make([]byte, 70_000)) + `"}`)
		refused(t, r.SendToDevice(t.Context(), alice, "m.test", "t4", devices.Messages{"@bob:hs1": {"B1": big}}), matrix.CodeTooLarge)
	})
}

func TestConcurrentRepeatsAreDoneOnce(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.device("@alice:hs1", "A"), r.device("@bob:hs1", "B")
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				err := r.SendToDevice(t.Context(), alice, "m.test", "same", devices.Messages{"@bob:hs1": {"B": json.RawMessage(`{}`)}})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if list, err := r.db.ListToDevice(t.Context(), bob.DeviceNID, 0, r.db.Position(), 100); err != nil || len(list) != 1 {
			t.Errorf("%d messages, want 1 (%v)", len(list), err)
		}
	})
}

func TestClaimedKeysAreForgottenInTime(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		now := time.UnixMilli(1_800_000_000_000)
		r := &rig{devices.New(devices.Options{DB: db, Local: local, Clock: func() time.Time { return now }}), t, db}
		c := r.device("@alice:hs1", "A")
		r.upload(c, `{"one_time_keys":{"signed_curve25519:1":{"key":"k1"}}}`)
		r.claim(c)
		now = now.Add(40 * 24 * time.Hour)
		r.upload(c, `{"one_time_keys":{"signed_curve25519:2":{"key":"k2"}}}`)
		if list, err := db.ListOneTimeKeys(t.Context(), c.DeviceNID); err != nil || len(list) != 1 {
			t.Errorf("%v, %v", list, err)
		}
	})
}
