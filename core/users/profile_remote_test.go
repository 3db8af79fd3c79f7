package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"rempart/core/users"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// elsewhere is another server as this one reaches it.
type elsewhere struct {
	asked  int
	answer string
	err    error
}

func (e *elsewhere) Profile(context.Context, matrix.ServerName, matrix.ServerName, matrix.UserID, string) (json.RawMessage, error) {
	e.asked++
	return json.RawMessage(e.answer), e.err
}

// A profile elsewhere is asked for once a minute at most, outlives its server for a day, and a dead server is not asked each time.
func TestProfilesElsewhere(t *testing.T) {
	far := &elsewhere{answer: `{"displayname":"Dora","avatar_url":null,"Not a name":1}`}
	events := bus.New[storage.Batch]()
	db := storagetest.Open(t, storage.Options{URL: t.TempDir() + "/rempart.db", Publish: events.Publish})
	r := newRig(t, db, events, func(o *users.Options) { o.Peers = far })
	dora := matrix.UserID("@dora:there.example")
	name := func() string {
		v, err := r.LookUpProfileField(t.Context(), matrix.Caller{}, dora, "displayname")
		if err != nil {
			return matrix.AsError(err).Code
		}
		return string(v)
	}
	whole, err := r.LookUpProfile(t.Context(), matrix.Caller{}, dora)
	if err != nil || len(whole) != 1 {
		t.Fatalf("%v, %v", whole, err)
	}
	for _, c := range []struct {
		wait   time.Duration
		answer string
		err    error
		want   string
		asked  int
	}{
		{time.Second, `{"displayname":"Other"}`, nil, `"Dora"`, 0},
		{time.Minute, `{"displayname":"Other"}`, nil, `"Other"`, 1},
		{time.Minute, "", errors.New("down"), `"Other"`, 1},
		{time.Second, `{"displayname":"Third"}`, nil, `"Other"`, 0},
		{time.Minute, "not JSON", nil, `"Other"`, 1},
		{25 * time.Hour, "", errors.New("down"), "M_UNKNOWN", 1},
		{time.Minute, "", matrix.NotFound("no such user"), "M_NOT_FOUND", 1},
		{time.Second, `{"displayname":"Dora"}`, nil, "M_NOT_FOUND", 0},
	} {
		r.now.Add(c.wait)
		far.answer, far.err, far.asked = c.answer, c.err, 0
		if got := name(); got != c.want || far.asked != c.asked {
			t.Errorf("after %v: %s, asked %d times; want %s, %d", c.wait, got, far.asked, c.want, c.asked)
		}
	}
	far.asked = 0
	if _, err := r.LookUpProfile(t.Context(), matrix.Caller{}, "@nobody:hs1"); !matrix.HasCode(err, matrix.CodeNotFound) || far.asked != 0 {
		t.Errorf("a user of our own: %v, others asked %d times", err, far.asked)
	}
}

// A profile elsewhere that cannot be read leaves the one that is remembered; a field that cannot be read takes no other with it.
func TestSpoiltProfilesElsewhere(t *testing.T) {
	far := &elsewhere{}
	events := bus.New[storage.Batch]()
	db := storagetest.Open(t, storage.Options{URL: t.TempDir() + "/rempart.db", Publish: events.Publish})
	r := newRig(t, db, events, func(o *users.Options) { o.Peers = far })
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	read := func(answer string) string {
		t.Helper()
		r.now.Add(2 * time.Minute)
		far.answer = answer
		p, err := r.LookUpProfile(t.Context(), matrix.Caller{}, "@dora:there.example")
		if err != nil {
			t.Fatalf("%.100q: %v", answer, err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%.100q: %v", answer, err)
		}
		return string(text)
	}
	const dora = `{"displayname":"Dora"}`
	for answer, want := range map[string]string{
		`{"displayname":"Dora","avatar_url":5}`:                                   dora,
		`{"displayname":"Dora","avatar_url":{"x":[]},"Other Name":1}`:             dora,
		`{"displayname":"Eve","displayname":"Dora","DISPLAYNAME":"Eve"}`:          dora,
		`{"displayname":["Eve"]}`:                                                 `{}`,
		`{"displayname":"Dora","org.example.x": 1e400 }`:                          `{"displayname":"Dora","org.example.x":1e400}`,
		`{"displayname":"Dora","org.example.` + strings.Repeat("x", 300) + `":1}`: dora,
		// as a whole these are none
		`null`: dora, `[]`: dora, `"x"`: dora, `5`: dora, `no JSON`: dora,
		`{"displayname":"Eve","org.example.x":` + deep + `}`:                          dora,
		"{\"displayname\":\"Eve\",\"org.example.x\":\"\xff\"}":                        dora,
		`{"displayname":"Eve","org.example.x":"` + strings.Repeat("x", 64<<10) + `"}`: dora,
	} {
		if got := read(dora); got != dora {
			t.Fatal(got)
		}
		if got := read(answer); got != want {
			t.Errorf("%.100q: read as %.100s, want %s", answer, got, want)
		}
	}
}
