package devices_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rempart/core/devices"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/cputime"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// BenchmarkKeys is what begins encrypted conversations among 200 people who have cross-signed one device each: one of them
// uploads 50 one-time keys, claims a key of all, asks for the keys of all, and sends a message to the device of each.
func BenchmarkKeys(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) { benchmarkKeys(b, engine) })
	}
}

const benchUsers = 200

// crowd is a service with people.
type crowd struct {
	*devices.Service
	people  []matrix.Caller
	uploads int
}

func newCrowd(b *testing.B, url string) *crowd {
	b.Helper()
	events := bus.New[storage.Batch]()
	db := storagetest.Open(b, storage.Options{URL: url, Publish: events.Publish})
	c := &crowd{Service: devices.New(devices.Options{DB: db, Bus: events, Local: local})}
	for i := range benchUsers {
		user := matrix.UserID(fmt.Sprintf("@u%d:hs1", i))
		nid, err := db.UserNID(b.Context(), user)
		if err != nil {
			b.Fatal(err)
		}
		p := matrix.Caller{User: user, UserNID: nid, Device: "D"}
		change := &storage.Change{}
		change.Guard(storage.InsertDevice(storage.Device{NID: nid, User: nid, ID: "D", DisplayName: "a telephone"}, &p.DeviceNID))
		pub := base64.RawStdEncoding.EncodeToString([]byte(fmt.Sprintf("%032d", i)))
		for _, usage := range []string{"master", "self_signing", "user_signing"} {
			change.Add(&storage.CrossSigningRow{CrossSigningKey: storage.CrossSigningKey{User: nid, Usage: usage, KeyID: pub, Body: []byte(
				`{"keys":{"ed25519:` + pub + `":"` + pub + `"},"usage":["` + usage + `"],"user_id":"` + string(user) + `"}`)}})
		}
		change.Add(&storage.KeySignatureRow{KeySignature: storage.KeySignature{
			User: nid, Target: "D", Signer: nid, KeyID: "ed25519:" + pub, Signature: strings.Repeat("s", 86)}})
		if err := db.Commit(b.Context(), change); err != nil {
			b.Fatal(err)
		}
		c.people = append(c.people, p)
		c.upload(b, p)
	}
	return c
}

func (c *crowd) upload(b *testing.B, p matrix.Caller) {
	c.uploads++
	up := devices.Upload{OneTimeKeys: map[string]json.RawMessage{}, DeviceKeys: json.RawMessage(fmt.Sprintf(
		`{"user_id":%q,"device_id":"D","algorithms":["m.olm.v1.curve25519-aes-sha2"],"keys":{"ed25519:D":"%d"},"signatures":{%q:{"ed25519:D":"s"}}}`,
		p.User, c.uploads, p.User))}
	for k := range 50 {
		up.OneTimeKeys[fmt.Sprintf("signed_curve25519:%d-%d", c.uploads, k)] = json.RawMessage(fmt.Sprintf(`{"key":"%d"}`, k))
	}
	if _, err := c.UploadKeys(b.Context(), p, up); err != nil {
		b.Fatal(err)
	}
}

func benchmarkKeys(b *testing.B, engine string) {
	url := filepath.Join(b.TempDir(), "bench.db")
	if engine == "postgres" {
		url = pgtest.New(b)
	}
	c := newCrowd(b, url)
	claim, query, messages := devices.ClaimRequest{}, map[matrix.UserID][]matrix.DeviceID{}, devices.Messages{}
	for _, p := range c.people {
		claim[p.User] = map[matrix.DeviceID]string{"D": "signed_curve25519"}
		query[p.User] = nil
		messages[p.User] = map[matrix.DeviceID]json.RawMessage{"D": json.RawMessage(`{"algorithm":"m.olm","ciphertext":"` + strings.Repeat("x", 900) + `"}`)}
	}
	n := 0
	median(b, "upload50", func() error { n++; c.upload(b, c.people[n%benchUsers]); return nil })
	median(b, "query", func() error {
		keys, err := c.QueryKeys(b.Context(), c.people[0], query)
		if err == nil {
			_, err = keys.AppendJSON(nil)
		}
		return err
	})
	median(b, "claim", func() error {
		_, _, err := c.ClaimKeys(b.Context(), "hs1", claim)
		return err
	})
	median(b, "todevice", func() error {
		n++
		return c.SendToDevice(b.Context(), c.people[0], "m.room.encrypted", fmt.Sprint(n), messages)
	})
}

// median measures an act and reports how long half of them took at most, and this process's CPU time.
func median(b *testing.B, name string, act func() error) {
	b.Run(name, func(b *testing.B) {
		var took []time.Duration
		before := cputime.Used()
		for b.Loop() {
			began := time.Now()
			if err := act(); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		b.ReportMetric(float64((cputime.Used()-before).Microseconds())/1000/float64(len(took)), "cpu-ms/op")
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	})
}
