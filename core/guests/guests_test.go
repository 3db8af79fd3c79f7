package guests_test

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"rempart/core/guests"
	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

type keys struct{ key matrix.SigningKey }

func (k keys) SigningKey(matrix.ServerName) (matrix.SigningKey, bool) { return k.key, true }

// TestGuestsLeaveWhoeverForbidsThem lets an event come by the way that those of other servers take, past the handlers.
func TestGuestsLeaveWhoeverForbidsThem(t *testing.T) {
	events := bus.New[storage.Batch]()
	storagetest.EachWith(t, storage.Options{Publish: events.Publish}, func(t *testing.T, db *storage.DB) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		key := matrix.SigningKey{ServerName: "hs1", KeyID: "ed25519:a", Private: ed25519.NewKeyFromSeed(make([]byte, 32))}
		r, err := rooms.New(t.Context(), rooms.Options{DB: db, Bus: events, Keys: keys{key}})
		must(err)
		watch := guests.New(t.Context(), guests.Options{Bus: events, Rooms: r})
		t.Cleanup(watch.Close)
		left := make(chan matrix.UserID, 10)
		events.Subscribe(func(b storage.Batch) {
			for i := range b.Lives {
				if e, ok := b.Lives[i].Value.(*rooms.Stored); ok && e.Type == "m.room.member" && e.Membership() == "leave" {
					left <- matrix.UserID(*e.StateKey)
				}
			}
		})
		person := func(id matrix.UserID, flags storage.UserFlag) matrix.Caller {
			nid, err := db.UserNID(t.Context(), id)
			must(err)
			c := &storage.Change{}
			c.Guard(storage.InsertUser(storage.User{NID: nid, Tenant: 1, ID: id, Flags: flags}))
			must(db.Commit(t.Context(), c))
			return matrix.Caller{User: id, UserNID: nid, Server: "hs1"}
		}
		alice, bob, guest := person("@alice:hs1", 0), person("@bob:hs1", 0), person("@guest:hs1", storage.UserGuest)
		room, err := r.Create(t.Context(), alice, &rooms.CreateRequest{Preset: "public_chat"})
		must(err)
		rule := func(access string) {
			key := ""
			_, err := r.Compose(t.Context(), room, func(*rooms.View) ([]rooms.Draft, error) {
				return []rooms.Draft{{Sender: alice.User, Type: "m.room.guest_access", StateKey: &key,
					Content: json.RawMessage(`{"guest_access":"` + access + `"}`)}}, nil
			})
			must(err)
		}
		rule("can_join")
		for _, c := range []matrix.Caller{bob, guest} {
			must(r.Join(t.Context(), rooms.MembershipChange{Room: room, Sender: c.User, Target: c.User}))
		}
		rule("forbidden")
		select {
		case who := <-left:
			if who != guest.User {
				t.Errorf("%s left", who)
			}
		case <-t.Context().Done():
			t.Fatal("the guest stays")
		}
	})
}
