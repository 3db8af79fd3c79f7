package push_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// someone is an account with its caller.
func someone(t *testing.T, db *storage.DB, name string) matrix.Caller {
	t.Helper()
	id := matrix.UserID("@" + name + ":hs1")
	nid, err := db.UserNID(t.Context(), id)
	mx.Must(t, err)
	c := &storage.Change{}
	c.Guard(storage.InsertUser(storage.User{NID: nid, ID: id, Tenant: 1, DisplayName: name}))
	mx.Must(t, db.Commit(t.Context(), c))
	return matrix.Caller{Tenant: 1, User: id, UserNID: nid, Server: "hs1"}
}

// Who changes his profile is called by his new name from then on, and by the old one no more. Who is in rooms stays in memory.
func TestNamesChange(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		ctx, events := t.Context(), bus.New[storage.Batch]()
		db := storagetest.Open(t, storage.Options{URL: url, Publish: events.Publish})
		rules, err := push.New(ctx, push.Options{DB: db, Bus: events})
		mx.Must(t, err)
		key, err := matrix.GenerateSigningKey("hs1")
		mx.Must(t, err)
		graph, err := rooms.New(ctx, rooms.Options{DB: db, Bus: events, Keys: oneKey{key}, Push: rules})
		mx.Must(t, err)
		t.Cleanup(graph.Close)
		alice, bob, carol := someone(t, db, "alice"), someone(t, db, "bob"), someone(t, db, "carol")
		newRoom := func(guests ...matrix.Caller) *rooms.Room {
			room, err := graph.Create(ctx, alice, &rooms.CreateRequest{Preset: "public_chat"})
			mx.Must(t, err)
			for _, g := range guests {
				mx.Must(t, graph.JoinVia(ctx, rooms.Entry{Room: room.ID(), User: g.User}))
			}
			return room
		}
		his, other := newRoom(bob, carol), newRoom(carol)
		// says tells whether a user is meant by a text.
		says := func(room *rooms.Room, body string, user matrix.Caller) bool {
			before := db.Position()
			content := json.RawMessage(fmt.Sprintf(`{"msgtype":"m.text","body":%q}`, body))
			_, err := graph.Send(ctx, rooms.SendRequest{Room: room, Sender: alice.User, Type: "m.room.message", Content: content})
			mx.Must(t, err)
			hits, err := db.ListPushHits(ctx, user.UserNID, room.NID(), before)
			mx.Must(t, err)
			return len(hits) == 1 && hits[0].User == user.UserNID && hits[0].Highlight == 1
		}
		rename := func(user matrix.Caller, name string) {
			c := &storage.Change{}
			c.Guard(storage.UpdateDisplayName(user.UserNID, name))
			c.Live(storage.Live{Kind: storage.KindProfile, User: user.UserNID})
			mx.Must(t, db.Commit(ctx, c))
		}
		data := &storage.AccountDataRow{User: bob.UserNID, Type: "m.ignored_user_list", Content: []byte(`{"ignored_users":{"@carol:hs1":{}}}`)}
		c := &storage.Change{}
		data.At.Live = c.Live(storage.Live{Kind: storage.KindAccountData, User: bob.UserNID, Value: data}) + 1
		c.Add(data)
		mx.Must(t, db.Commit(ctx, c))
		rename(bob, "Robert")
		if !says(his, "is Robert here?", bob) || !says(other, "is carol here?", carol) {
			t.Fatal("nobody is meant by his name")
		}
		rename(bob, "Zoe of Lyon")
		for name, room := range map[string]*rooms.Room{"his": his, "the other": other} {
			if !rules.Knows(room.NID()) {
				t.Errorf("who is in %s room is forgotten when he changes his name", name)
			}
		}
		if says(his, "is Robert here?", bob) {
			t.Error("he is still meant by his old name")
		}
		if !says(his, "is Zoe of Lyon here?", bob) {
			t.Error("he is not meant by his new name")
		}
		if !says(his, "is carol here?", carol) {
			t.Error("another is no longer meant")
		}
		content := json.RawMessage(`{"msgtype":"m.text","body":"Zoe of Lyon"}`)
		before := db.Position()
		_, err = graph.Send(ctx, rooms.SendRequest{Room: his, Sender: carol.User, Type: "m.room.message", Content: content})
		mx.Must(t, err)
		hits, err := db.ListPushHits(ctx, bob.UserNID, his.NID(), before)
		if err != nil || len(hits) != 1 || hits[0].Notify != -1 {
			t.Errorf("whom he ignores reaches him: %+v, %v", hits, err)
		}
		if says(other, "is Zoe of Lyon here?", bob) {
			t.Error("he is meant where he is not")
		}
		c = &storage.Change{}
		c.Guard(storage.UpdateDisplayName(bob.UserNID, "Claude"))
		c.Live(storage.Live{Kind: storage.KindProfile, User: bob.UserNID})
		crowd := make([]matrix.UserID, 1100) // more than are looked up one by one
		for i := range crowd {
			crowd[i] = matrix.UserID(fmt.Sprintf("@x%d:hs1", i))
		}
		mx.Must(t, db.InternUsers(ctx, crowd))
		for _, id := range crowd {
			nid, err := db.FindUserNID(ctx, id)
			mx.Must(t, err)
			c.Guard(storage.InsertUser(storage.User{NID: nid, ID: id, Tenant: 1}))
			c.Live(storage.Live{Kind: storage.KindProfile, User: nid})
		}
		mx.Must(t, db.Commit(ctx, c))
		if !says(his, "is Claude here?", bob) {
			t.Error("he is not meant by the name that he took with many others")
		}
	})
}
