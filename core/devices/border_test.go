package devices_test

import (
	"context"
	"encoding/json"
	"testing"

	"rempart/core/border"
	"rempart/core/devices"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// Of the devices of another server of this installation nothing is told, no key is handed out and no message reaches them, where the policy
// lets them not speak.
func TestDevicesOverTheBorder(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		const near, far, device = matrix.UserID("@near:one.example"), matrix.UserID("@far:two.example"), matrix.DeviceID("D")
		ctx, closed := t.Context(), map[string]bool{}
		gate := border.New(border.Options{Servers: []matrix.ServerName{"one.example", "two.example"},
			Judge: func(_ context.Context, from, to matrix.ServerName, kind string) error {
				if closed[string(from)+" "+string(to)+" "+kind] {
					return matrix.Forbidden("The border is closed.")
				}
				return nil
			}})
		s := devices.New(devices.Options{DB: db, Border: gate, Local: func(n matrix.ServerName) bool { return n == near.Server() || n == far.Server() }})
		t.Cleanup(s.Close)
		numbers := map[matrix.UserID]int64{}
		c := &storage.Change{}
		dev, err := db.NewID(ctx, storage.DeviceNIDs)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range []matrix.UserID{near, far} {
			if numbers[user], err = db.UserNID(ctx, user); err != nil {
				t.Fatal(err)
			}
			c.Guard(storage.InsertUser(storage.User{NID: numbers[user], ID: user, Tenant: 1}))
		}
		c.Guard(storage.InsertDevice(storage.Device{NID: dev, User: numbers[far], ID: device}, new(int64)))
		c.Add(&storage.DeviceKeysRow{User: numbers[far], Device: device, Body: []byte(`{"algorithms":[],"device_id":"D","keys":{},"user_id":"@far:two.example"}`)},
			&storage.OneTimeKeyRow{OneTimeKey: storage.OneTimeKey{KeyID: storage.KeyID{Device: dev, Algorithm: "a", ID: "1"}, Body: []byte(`"once"`)}, Seq: 1})
		if err := db.Commit(ctx, c); err != nil {
			t.Fatal(err)
		}
		caller := matrix.Caller{User: near, UserNID: numbers[near], Server: near.Server()}
		for i, open := range []bool{false, true} {
			closed["two.example one.example devices"], closed["one.example two.example m.direct_to_device"] = !open, !open
			keys, err := s.QueryKeys(ctx, caller, map[matrix.UserID][]matrix.DeviceID{far: nil})
			if err != nil {
				t.Fatal(err)
			}
			if _, failed := keys.Failures["two.example"]; failed == open || (keys.DeviceKeys[far][device] != nil) != open {
				t.Errorf("open %t: keys %v, failures %v", open, keys.DeviceKeys, keys.Failures)
			}
			claimed, failures, err := s.ClaimKeys(ctx, near.Server(), devices.ClaimRequest{far: {device: "a"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, failed := failures["two.example"]; failed == open || (claimed[far][device] != nil) != open {
				t.Errorf("open %t: claimed %v, failures %v", open, claimed, failures)
			}
			if err := s.SendToDevice(ctx, caller, "m.test", string(rune('0'+i)), devices.Messages{far: {"*": json.RawMessage(`{"x":1}`)}}); err != nil {
				t.Fatal(err)
			}
			if list, err := db.ListToDevice(ctx, dev, 0, db.Position(), 10); err != nil || (len(list) == 1) != open {
				t.Errorf("open %t: %d messages, %v", open, len(list), err)
			}
		}
	})
}
