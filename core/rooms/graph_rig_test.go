package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/testkit/race"
	"rempart/storage"
)

// keyring signs for every server whose name it is asked for.
type keyring struct{ key matrix.SigningKey }

func (k keyring) SigningKey(server matrix.ServerName) (matrix.SigningKey, bool) {
	key := k.key
	key.ServerName = server
	return key, server != "remote.example"
}

// rig is a room service over a real database.
type rig struct {
	db    *storage.DB
	rooms *rooms.Service
	url   string
	// lives are all live entries, in the order in which they were published.
	lives  []storage.Live
	closed sync.Once
}

func newRig(t testing.TB, url string, change func(*rooms.Options)) *rig {
	t.Helper()
	return newRigOn(t, storage.Options{URL: url}, change)
}

func newRigOn(t testing.TB, on storage.Options, change func(*rooms.Options)) *rig {
	t.Helper()
	r := &rig{url: on.URL}
	b := bus.New[storage.Batch]()
	on.Publish = b.Publish
	var err error
	if r.db, err = storage.Open(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	key, err := matrix.GenerateSigningKey("home.example")
	if err != nil {
		t.Fatal(err)
	}
	o := rooms.Options{DB: r.db, Bus: b, Keys: keyring{key}}
	if change != nil {
		change(&o)
	}
	if r.rooms, err = rooms.New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.Subscribe(func(b storage.Batch) { r.lives = append(r.lives, b.Lives...) })
	t.Cleanup(func() { r.close(t) })
	return r
}

// close ends the service, once.
func (r *rig) close(t testing.TB) {
	r.closed.Do(func() {
		r.rooms.Close()
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// memoryURL is a SQLite file in memory, where the machine has such a folder. What it proves is what is stored, not
// what survives.
func memoryURL(t testing.TB) string {
	folder, err := os.MkdirTemp("/dev/shm", "rempart-test-")
	if err != nil {
		return sqliteURL(t)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return filepath.Join(folder, "rempart.db")
}

// number is how often a proof goes round: in the environment, or else short, or long in `make prove`.
func number(t testing.TB, name string, short, long int) int {
	t.Helper()
	if text := os.Getenv(name); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if proving(os.Getenv) {
		return long
	}
	if race.Enabled { // Why less: what is new in the thirtieth graph is the graph, not who reads what at the same time
		return short / 6
	}
	return short
}

func sqliteURL(t testing.TB) string { return filepath.Join(t.TempDir(), "rempart.db") }

// each runs a test on every engine.
func each(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	pgtest.Each(t, fn)
}

func state(sender matrix.UserID, typ, key string, content any) rooms.Draft {
	raw, _ := json.Marshal(content)
	return rooms.Draft{Sender: sender, Type: typ, StateKey: &key, Content: raw}
}

func text(sender matrix.UserID, body string) rooms.Draft {
	raw, _ := json.Marshal(map[string]string{"msgtype": "m.text", "body": body})
	return rooms.Draft{Sender: sender, Type: "m.room.message", Content: raw}
}

type object map[string]any

const alice = matrix.UserID("@alice:home.example")

// publicRoom makes a room that anybody may join.
func (r *rig) publicRoom(t testing.TB, version string) *rooms.Room {
	t.Helper()
	v, ok := matrix.Version(version)
	if !ok {
		t.Fatalf("no room version %s", version)
	}
	create := object{"room_version": version}
	if !v.ImplicitRoomCreator {
		create["creator"] = alice
	}
	levels := object{"users": object{string(alice): 100}}
	if v.PrivilegedCreators {
		levels = object{}
	}
	raw, _ := json.Marshal(create)
	room, _, err := r.rooms.CreateRoom(t.Context(), v, alice, raw, func(*rooms.View) ([]rooms.Draft, error) {
		return []rooms.Draft{
			state(alice, "m.room.member", string(alice), object{"membership": "join"}),
			state(alice, "m.room.power_levels", "", levels),
			state(alice, "m.room.join_rules", "", object{"join_rule": "public"}),
		}, nil
	})
	if err != nil {
		t.Fatalf("create room of version %s: %v", version, err)
	}
	return room
}

// send appends drafts as one Change.
func (r *rig) send(ctx context.Context, room *rooms.Room, drafts ...rooms.Draft) ([]*rooms.Stored, error) {
	return r.rooms.Compose(ctx, room, func(*rooms.View) ([]rooms.Draft, error) { return drafts, nil })
}

func (r *rig) must(t testing.TB, room *rooms.Room, drafts ...rooms.Draft) []*rooms.Stored {
	t.Helper()
	out, err := r.send(t.Context(), room, drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// join lets n further users in and returns them.
func (r *rig) join(t testing.TB, room *rooms.Room, n int) []matrix.UserID {
	t.Helper()
	users := make([]matrix.UserID, n)
	for i := range users {
		users[i] = matrix.UserID(fmt.Sprintf("@user%d:home.example", i))
		r.must(t, room, state(users[i], "m.room.member", string(users[i]), object{"membership": "join"}))
	}
	return users
}

// crowd lets many users in, some hundred with each commit.
func (r *rig) crowd(t testing.TB, room *rooms.Room, n int) []matrix.UserID {
	t.Helper()
	users := make([]matrix.UserID, 0, n)
	for len(users) < n {
		var joins []rooms.Draft
		for range min(n-len(users), 500) {
			u := matrix.UserID(fmt.Sprintf("@user%d:home.example", len(users)))
			users = append(users, u)
			joins = append(joins, state(u, "m.room.member", string(u), object{"membership": "join"}))
		}
		r.must(t, room, joins...)
	}
	return users
}

func eachVersion(t *testing.T, fn func(t *testing.T, version string)) {
	for _, v := range matrix.Versions() {
		t.Run("v"+v.ID, func(t *testing.T) { fn(t, v.ID) })
	}
}

// proving reports whether the long forms of proofs are asked for.
func proving(get func(string) string) bool { return get("REMPART_PROVE") == "1" }
