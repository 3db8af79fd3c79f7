package devices_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"rempart/core/devices"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// BenchmarkKeys uploads 50 one-time keys, claims one of each of 100 devices, and queries the keys of 100 users.
func BenchmarkKeys(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) { benchmarkKeys(b, engine) })
	}
}

func benchmarkKeys(b *testing.B, engine string) {
	url := filepath.Join(b.TempDir(), "bench.db")
	if engine == "postgres" {
		url = pgtest.New(b)
	}
	db := storagetest.Open(b, storage.Options{URL: url})
	s := devices.New(devices.Options{DB: db, Local: local})
	var callers []matrix.Caller
	claim, query := devices.ClaimRequest{}, map[matrix.UserID][]matrix.DeviceID{}
	for i := range 100 {
		user := matrix.UserID(fmt.Sprintf("@u%d:hs1", i))
		nid, err := db.UserNID(b.Context(), user)
		if err != nil {
			b.Fatal(err)
		}
		c := matrix.Caller{User: user, UserNID: nid, Device: "D"}
		change := &storage.Change{}
		change.Guard(storage.InsertDevice(storage.Device{NID: nid, User: nid, ID: "D"}, &c.DeviceNID))
		if err := db.Commit(b.Context(), change); err != nil {
			b.Fatal(err)
		}
		callers = append(callers, c)
		claim[user] = map[matrix.DeviceID]string{"D": "signed_curve25519"}
		query[user] = nil
	}
	batch := 0
	upload := func(c matrix.Caller) {
		batch++
		up := devices.Upload{OneTimeKeys: map[string]json.RawMessage{}, DeviceKeys: json.RawMessage(fmt.Sprintf(
			`{"user_id":%q,"device_id":"D","algorithms":["m.olm.v1.curve25519-aes-sha2"],"keys":{"ed25519:D":"%d"}}`, c.User, batch))}
		for k := range 50 {
			up.OneTimeKeys[fmt.Sprintf("signed_curve25519:%d-%d", batch, k)] = json.RawMessage(fmt.Sprintf(`{"key":"%d"}`, k))
		}
		if _, err := s.UploadKeys(b.Context(), c, up); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range callers {
		upload(c)
	}
	b.Run("upload50", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			upload(callers[i%100])
		}
	})
	b.Run("claim100", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.ClaimKeys(b.Context(), "hs1", claim); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("query100", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.QueryKeys(b.Context(), callers[0], query); err != nil {
				b.Fatal(err)
			}
		}
	})
}
