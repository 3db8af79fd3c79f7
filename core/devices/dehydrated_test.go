package devices_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rempart/core/devices"
	"rempart/internal/matrix"
)

func dehydration(user matrix.UserID, id string) devices.Dehydration {
	var d devices.Dehydration
	text := fmt.Sprintf(`{"device_id":%q,"device_data":{"algorithm":"m.dehydration.v2","device_pickle":"p"},"initial_device_display_name":"Dehydrated",
		"device_keys":{"user_id":%q,"device_id":%q,"dehydrated":true,"algorithms":["a"],"keys":{"ed25519:x":"%s"}},
		"one_time_keys":{"signed_curve25519:one":{"key":"1"}},"fallback_keys":{"signed_curve25519:fall":{"key":"f","fallback":true}}}`,
		id, user, id, id)
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		panic(err)
	}
	return d
}

// everything reads a dehydrated device's messages to the end.
func (r *rig) everything(c matrix.Caller, id matrix.DeviceID) (n int) {
	r.t.Helper()
	for from, round := "", 0; round < 100; round++ {
		got, err := r.DehydratedEvents(r.t.Context(), c, id, from)
		if err != nil {
			r.t.Fatal(err)
		}
		if n += len(got.Events); got.Next == "" {
			return n
		}
		from = got.Next
	}
	r.t.Fatal("the messages never end")
	return 0
}

func TestDehydratedDevice(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		alice, bob := r.device("@alice:hs1", "PHONE"), r.device("@bob:hs1", "B")
		if _, err := r.FindDehydrated(ctx, alice); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Fatalf("before there is one: %v", err)
		}
		from := r.db.Position()
		if err := r.Dehydrate(ctx, alice, dehydration(alice.User, "a/b+c")); err != nil {
			t.Fatal(err)
		}
		changes, err := r.ChangesBetween(ctx, alice.UserNID, from, r.db.Position())
		if err != nil || len(changes.Changed) != 1 {
			t.Errorf("the device list did not change: %v %v", changes, err)
		}
		if got, err := r.FindDehydrated(ctx, alice); err != nil || got.ID != "a/b+c" || !strings.Contains(string(got.Data), "pickle") {
			t.Errorf("got %v, %v", got, err)
		}
		keys, err := r.QueryKeys(ctx, bob, map[matrix.UserID][]matrix.DeviceID{alice.User: nil})
		if err != nil || !strings.Contains(string(keys.DeviceKeys[alice.User]["a/b+c"]), `"dehydrated":true`) {
			t.Errorf("bob sees %v, %v", keys, err)
		}
		dry := matrix.Caller{User: alice.User, Device: "a/b+c"}
		if got := r.claim(dry) + r.claim(dry); strings.Count(got, `"key"`) != 2 || !strings.Contains(got, "fallback") {
			t.Errorf("claimed %s", got)
		}
		for i := range 250 {
			err := r.SendToDevice(ctx, bob, "m.room.encrypted", fmt.Sprint(i), devices.Messages{alice.User: {"a/b+c": []byte(`{"n":1}`)}})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // they stay for who begins anew
			if n := r.everything(alice, "a/b+c"); n != 250 {
				t.Errorf("%d of 250 messages", n)
			}
		}
		if _, err := r.DehydratedEvents(ctx, alice, "PHONE", ""); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("messages of another device: %v", err)
		}
		if _, err := r.DehydratedEvents(ctx, alice, "a/b+c", "x"); !matrix.HasCode(err, matrix.CodeInvalidParam) {
			t.Errorf("a token that is none: %v", err)
		}
	})
}

func TestDehydratedDeviceIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		alice := r.device("@alice:hs1", "PHONE")
		for _, id := range []string{"one", "two", "two"} {
			if err := r.Dehydrate(ctx, alice, dehydration(alice.User, id)); err != nil {
				t.Fatal(err)
			}
		}
		list, err := r.List(ctx, alice)
		if err != nil || len(list) != 2 || list[1].ID != "two" {
			t.Errorf("devices %v, %v", list, err)
		}
		keys, err := r.QueryKeys(ctx, alice, map[matrix.UserID][]matrix.DeviceID{alice.User: nil})
		if err != nil || len(keys.DeviceKeys[alice.User]) != 1 {
			t.Errorf("keys %v, %v", keys.DeviceKeys, err)
		}
		if err := r.Dehydrate(ctx, alice, dehydration(alice.User, "PHONE")); !matrix.HasCode(err, matrix.CodeInvalidParam) {
			t.Errorf("under the id of a device in use: %v", err)
		}
		if got, err := r.FindDehydrated(ctx, alice); err != nil || got.ID != "two" {
			t.Errorf("a refused one took the place of the other: %v, %v", got, err)
		}
		if err := r.Delete(ctx, alice, []matrix.DeviceID{"two"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.DeleteDehydrated(ctx, alice); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("deleted with the devices: %v", err)
		}
		if err := r.Dehydrate(ctx, alice, dehydration(alice.User, "three")); err != nil {
			t.Fatal(err)
		}
		if id, err := r.DeleteDehydrated(ctx, alice); err != nil || id != "three" {
			t.Errorf("deleted %q, %v", id, err)
		}
		if list, err := r.List(ctx, alice); err != nil || len(list) != 1 {
			t.Errorf("left are %v, %v", list, err)
		}
	})
}

func TestDehydratedDeviceIsChecked(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.device("@alice:hs1", "PHONE")
		for name, spoil := range map[string]func(*devices.Dehydration){
			"no id":         func(d *devices.Dehydration) { d.ID = "" },
			"other id":      func(d *devices.Dehydration) { d.ID = "y" },
			"no keys":       func(d *devices.Dehydration) { d.DeviceKeys = nil },
			"null keys":     func(d *devices.Dehydration) { d.DeviceKeys = []byte("null") },
			"no data":       func(d *devices.Dehydration) { d.Data = nil },
			"no algorithm":  func(d *devices.Dehydration) { d.Data = []byte(`{}`) },
			"much data":     func(d *devices.Dehydration) { d.Data = []byte(`{"algorithm":"` + strings.Repeat("a", 300<<10) + `"}`) },
			"one-time keys": func(d *devices.Dehydration) { d.OneTimeKeys["x"] = []byte(`{}`) },
		} {
			d := dehydration(alice.User, "x")
			spoil(&d)
			if err := r.Dehydrate(t.Context(), alice, d); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		if _, err := r.FindDehydrated(t.Context(), alice); err == nil {
			t.Error("something was stored")
		}
	})
}
