package federation

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"rempart/core/devices"
	"rempart/internal/matrix"
	"rempart/internal/testkit/mx"
)

// deviceChange is what a server is told of a device.
type deviceChange struct {
	Device  string  `json:"device_id"`
	Stream  int64   `json:"stream_id"`
	Prev    []int64 `json:"prev_id"`
	Deleted bool    `json:"deleted"`
}

// Each change of a user's devices names the one before, so that a server that heard of all fetches the list no more than once, even where
// it was away meanwhile; and the list that it may fetch is that of the last change. Spec: server-server-api/#device-management
func TestChangesOfDevicesNameTheOneBefore(t *testing.T) {
	i := newIntruder(t)
	changes := make(chan deviceChange, 100)
	var once sync.Mutex
	taken := map[string]bool{} // Why: a transaction whose answer is lost, as when a server stops, comes again under its id
	i.mu.Lock()
	i.answers = map[string]http.HandlerFunc{"/send/": func(w http.ResponseWriter, r *http.Request) {
		var txn struct {
			EDUs []struct {
				Type    string       `json:"edu_type"`
				Content deviceChange `json:"content"`
			} `json:"edus"`
		}
		raw, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(raw, &txn) != nil {
			w.WriteHeader(http.StatusBadRequest) // half of one, as when a server stops: it comes again
			return
		}
		once.Lock()
		defer once.Unlock()
		if taken[r.URL.Path] {
			txn.EDUs = nil
		}
		taken[r.URL.Path] = true
		for _, e := range txn.EDUs {
			if e.Type == "m.device_list_update" {
				changes <- e.Content
			}
		}
		_, _ = io.WriteString(w, `{"pdus":{}}`)
	}}
	i.mu.Unlock()
	seen, fetches := []int64{}, 0
	hear := func(about string, gone bool) {
		t.Helper()
		for {
			select {
			case c := <-changes:
				if slices.Contains(seen, c.Stream) {
					t.Errorf("number %d came twice", c.Stream)
				}
				if len(c.Prev) == 0 || slices.ContainsFunc(c.Prev, func(p int64) bool { return !slices.Contains(seen, p) }) {
					fetches++
				}
				if seen = append(seen, c.Stream); c.Device == about && c.Deleted == gone {
					return
				}
			case <-time.After(patience):
				t.Fatalf("nothing was told of %s", about)
			}
		}
	}
	ctx, base := t.Context(), "/_matrix/client/v3/"
	keys := func(c *mx.Client) {
		t.Helper()
		mx.Must(t, c.Do(ctx, "POST", base+"keys/upload", map[string]any{"device_keys": map[string]any{
			"user_id": c.UserID, "device_id": c.DeviceID, "algorithms": []string{"m.olm.v1.curve25519-aes-sha2"},
			"keys":       map[string]string{"ed25519:" + c.DeviceID: "c2lnbmluZw"},
			"signatures": map[string]any{c.UserID: map[string]string{"ed25519:" + c.DeviceID: "c2ln"}}}}, nil))
	}
	keys(i.alice)
	hear(i.alice.DeviceID, false)
	second := &mx.Client{URL: i.alice.URL, UserID: i.alice.UserID}
	var login struct {
		Token  string `json:"access_token"`
		Device string `json:"device_id"`
	}
	mx.Must(t, second.Do(ctx, "POST", base+"login", map[string]any{"type": "m.login.password", "password": "pass word alice",
		"identifier": map[string]string{"type": "m.id.user", "user": i.alice.UserID}}, &login))
	second.Token, second.DeviceID = login.Token, login.Device
	i.home.Stop()
	i.home.Restart()
	keys(second)
	hear(second.DeviceID, false)
	mx.Must(t, second.Do(ctx, "POST", base+"logout", map[string]any{}, nil))
	hear(second.DeviceID, true)
	if fetches > 1 {
		t.Errorf("the list would have been fetched %d times", fetches)
	}
	raw, err := i.UserDevices(ctx, i.name, matrix.ServerName(i.home.Name), matrix.UserID(i.alice.UserID))
	mx.Must(t, err)
	var list devices.ServedList
	mx.Must(t, json.Unmarshal(raw, &list))
	if list.StreamID != seen[len(seen)-1] || len(list.Devices) != 1 {
		t.Errorf("the list is that of %d, the last change %v", list.StreamID, seen)
	}
}
