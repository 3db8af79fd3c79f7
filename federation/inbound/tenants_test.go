package inbound_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"rempart/core/devices"
	"rempart/federation/inbound"
	"rempart/federation/keys"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// Of two servers of one installation each answers about its own users, and takes messages for them: what another server is refused by the
// one it does not get by the other.
func TestEachOfOurServersSpeaksForItself(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		const user, device = matrix.UserID("@u:us2.org"), matrix.DeviceID("D")
		ctx, k := t.Context(), key(t, "a.org")
		nid, err := db.UserNID(ctx, user)
		if err != nil {
			t.Fatal(err)
		}
		dev, err := db.NewID(ctx, storage.DeviceNIDs)
		if err != nil {
			t.Fatal(err)
		}
		c := &storage.Change{}
		c.Guard(storage.InsertUser(storage.User{NID: nid, ID: user, Tenant: 1}), storage.InsertDevice(storage.Device{NID: dev, User: nid, ID: device}, new(int64)))
		c.Add(&storage.DeviceKeysRow{User: nid, Device: device, Body: []byte(`{"algorithms":[],"device_id":"D","keys":{},"user_id":"@u:us2.org"}`)},
			&storage.OneTimeKeyRow{OneTimeKey: storage.OneTimeKey{KeyID: storage.KeyID{Device: dev, Algorithm: "a", ID: "1"}, Body: []byte(`"once"`)}, Seq: 1})
		if err := db.Commit(ctx, c); err != nil {
			t.Fatal(err)
		}
		s := devices.New(devices.Options{DB: db, Local: func(name matrix.ServerName) bool { return name == "us.org" || name == "us2.org" }})
		t.Cleanup(s.Close)
		ring := keys.New(keys.Options{DB: db, Fetch: published{k}, Default: "us.org", Own: map[matrix.ServerName][]matrix.SigningKey{
			"us.org": {key(t, "us.org")}, "us2.org": {key(t, "us2.org")}}})
		r := httpx.New(httpx.Options{ServerAuth: inbound.Authenticator{Keys: ring}})
		inbound.Register(r, inbound.Deps{Keys: ring, Devices: s})

		const in = "/_matrix/federation/v1/"
		who := url.PathEscape(string(user))
		for _, to := range []matrix.ServerName{"us.org", "us2.org"} {
			own := to == "us2.org"
			for _, a := range []attempt{
				{method: "GET", uri: in + "user/devices/" + who},
				{method: "POST", uri: in + "user/keys/query", body: `{"device_keys":{"@u:us2.org":[]}}`},
				{method: "POST", uri: in + "user/keys/claim", body: `{"one_time_keys":{"@u:us2.org":{"D":"a"}}}`},
			} {
				a.origin, a.destination = "a.org", to
				if status, body := a.send(t, r, k); (status == 200 && strings.Contains(body, `"D"`)) != own {
					t.Errorf("%s tells: %d %s %s", to, status, a.uri, body)
				}
			}
			message := json.RawMessage(`{"sender":"@a:a.org","type":"m.test","message_id":"` + string(to) + `","messages":{"@u:us2.org":{"*":{"x":1}}}}`)
			if err := (inbound.Ephemeral{Devices: s}).HandleEDU(ctx, "a.org", to, "m.direct_to_device", message); err != nil {
				t.Fatal(err)
			}
			list, err := db.ListToDevice(ctx, dev, 0, db.Position(), 10)
			if err != nil || (len(list) == 1) != own {
				t.Errorf("by %s: %d messages, %v", to, len(list), err)
			}
		}
		for _, uri := range []string{"query/profile?user_id=" + url.QueryEscape(string(user)), "query/directory?room_alias=" + url.QueryEscape("#x:us2.org")} {
			a := attempt{method: "GET", uri: in + uri, origin: "a.org", destination: "us.org"}
			if status, body := a.send(t, r, k); status != 404 {
				t.Errorf("%s: %d %s", uri, status, body)
			}
		}
		long := json.RawMessage(`{"sender":"@` + strings.Repeat("x", 1000) + `:a.org","type":"m.test","message_id":"long","messages":{"@u:us2.org":{"*":{"x":1}}}}`)
		if err := (inbound.Ephemeral{Devices: s}).HandleEDU(ctx, "a.org", "us2.org", "m.direct_to_device", long); err != nil {
			t.Fatal(err)
		}
		if list, err := db.ListToDevice(ctx, dev, 0, db.Position(), 10); err != nil || len(list) != 1 {
			t.Errorf("a sender who is none: %d messages, %v", len(list), err)
		}
	})
}
