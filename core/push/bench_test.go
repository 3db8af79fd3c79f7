package push_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

type oneKey struct{ key matrix.SigningKey }

func (k oneKey) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	return k.key, name == k.key.ServerName
}

// timed notes what evaluations cost.
type timed struct {
	*push.Service
	spent time.Duration
	n     int
}

// Evaluate implements rooms.PushEvaluator.
func (t *timed) Evaluate(ctx context.Context, r *rooms.Room, v *rooms.View, e *matrix.Event, row *storage.EventRow) ([]storage.Row, error) {
	begin := time.Now()
	rows, err := t.Service.Evaluate(ctx, r, v, e, row)
	t.spent += time.Since(begin)
	t.n++
	return rows, err
}

// crowded is a room of 10,000 local members, some of whom have rules of their own.
func crowded(b *testing.B, custom int) (*rooms.Service, *rooms.Room, *timed, matrix.UserID) {
	b.Helper()
	events := bus.New[storage.Batch]()
	db := storagetest.Open(b, storage.Options{URL: filepath.Join(b.TempDir(), "x.db"), Publish: events.Publish})
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	owner := matrix.UserID("@owner:hs1")
	nid, err := db.UserNID(b.Context(), owner)
	must(err)
	c := &storage.Change{}
	c.Guard(storage.InsertUser(storage.User{NID: nid, ID: owner, Tenant: 1}))
	must(db.Commit(b.Context(), c))
	t := &timed{}
	t.Service, err = push.New(b.Context(), push.Options{DB: db, Bus: events})
	must(err)
	key := matrix.SigningKey{ServerName: "hs1", KeyID: "ed25519:a_test", Private: ed25519.NewKeyFromSeed(make([]byte, 32))}
	s, err := rooms.New(b.Context(), rooms.Options{DB: db, Bus: events, Keys: oneKey{key}, Push: t})
	must(err)
	room, err := s.Create(b.Context(), matrix.Caller{Tenant: 1, User: owner, UserNID: nid, Server: "hs1"}, &rooms.CreateRequest{Preset: "public_chat"})
	must(err)
	for i := 0; i < 10_000; i += 500 {
		c := &storage.Change{}
		for j := range 500 {
			id := matrix.UserID(fmt.Sprintf("@member%d:hs1", i+j))
			nid, err := db.UserNID(b.Context(), id)
			must(err)
			c.Guard(storage.InsertUser(storage.User{NID: nid, ID: id, Tenant: 1, DisplayName: fmt.Sprintf("Member %d of the staff", i+j)}))
			live := c.Live(storage.Live{Kind: storage.KindMembership, Room: room.NID(), User: nid})
			c.Add(&storage.MembershipRow{At: storage.At{Live: live + 1}, User: nid, Room: room.NID(), Membership: storage.MemberJoin})
			if i+j < custom {
				rules := push.Defaults(string(id))
				pattern := "cake"
				rules.Content = append(rules.Content, push.Rule{ID: "cake", Enabled: true, Pattern: &pattern, Actions: []json.RawMessage{json.RawMessage(`"notify"`)}})
				content, err := push.ContentOf(rules)
				must(err)
				row := &storage.AccountDataRow{User: nid, Type: "m.push_rules", Content: content}
				row.At.Live = c.Live(storage.Live{Kind: storage.KindAccountData, User: nid, Value: row}) + 1
				c.Add(row)
			}
		}
		must(db.Commit(b.Context(), c))
	}
	return s, room, t, owner
}

// BenchmarkEvaluate10000 is what the rules cost for one event in a room of 10,000, of which so many have rules of their own; the
// cost of writing the event is not in it.
func BenchmarkEvaluate10000(b *testing.B) {
	for _, custom := range []int{0, 100, 1000} {
		s, room, t, owner := crowded(b, custom)
		for _, c := range []struct{ name, typ, content string }{
			{"text", "m.room.message", `{"msgtype":"m.text","body":"a message as long as people write them at work, about what was said at the last meeting"}`},
			{"mention", "m.room.message", `{"msgtype":"m.text","body":"you","m.mentions":{"user_ids":["@member9999:hs1"]}}`},
			{"room", "m.room.message", `{"msgtype":"m.text","body":"all","m.mentions":{"room":true}}`},
			{"encrypted", "m.room.encrypted", `{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"x","sender_key":"x","session_id":"x"}`},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, custom), func(b *testing.B) {
				send := func() {
					if _, err := s.Send(b.Context(), rooms.SendRequest{Room: room, Sender: owner, Type: c.typ, Content: json.RawMessage(c.content)}); err != nil {
						b.Fatal(err)
					}
				}
				send() // reads who is in the room
				t.spent, t.n = 0, 0
				for b.Loop() {
					send()
				}
				b.ReportMetric(float64(t.spent.Microseconds())/float64(t.n), "µs-rules/op")
			})
		}
	}
}
