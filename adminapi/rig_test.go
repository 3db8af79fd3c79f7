package adminapi_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"rempart/adminapi"
	"rempart/clientapi"
	"rempart/core/admin"
	"rempart/core/devices"
	"rempart/core/media"
	"rempart/core/push"
	"rempart/core/pushers"
	"rempart/core/reports"
	"rempart/core/rooms"
	"rempart/core/search"
	"rempart/core/sync"
	"rempart/core/users"
	"rempart/internal/bus"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/mediaapi"
	"rempart/storage"
	"rempart/storage/storagetest"
)

const (
	v1 = "/_synapse/admin/v1"
	v2 = "/_synapse/admin/v2"
	v3 = "/_matrix/client/v3"
)

// server is the client API and the administration on one database, without listeners.
type server struct {
	t      testing.TB
	router *httpx.Router
	db     *storage.DB
	admin  *admin.Service
	boss   string // token of the administrator
	host   string // that is spoken to, "" for the first
}

// signingKeys signs for some servers.
type signingKeys struct {
	key     matrix.SigningKey
	servers []matrix.ServerName
}

func (k signingKeys) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	k.key.ServerName = name
	return k.key, slices.Contains(k.servers, name)
}

func each(t *testing.T, fn func(t *testing.T, s *server)) {
	t.Helper()
	pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, url string) { fn(t, newServer(t, url)) })
}

func newServer(t testing.TB, url string) *server { return newInstallation(t, url, "hs1") }

// newInstallation is newServer with several servers, each of an organisation of its own.
func newInstallation(t testing.TB, url string, servers ...matrix.ServerName) *server {
	t.Helper()
	events := bus.New[storage.Batch]()
	db := storagetest.Open(t, storage.Options{URL: url, Publish: events.Publish})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := matrix.SigningKey{ServerName: "hs1", KeyID: "ed25519:a_test", Private: ed25519.NewKeyFromSeed(make([]byte, 32))}
	pushed, err := push.New(t.Context(), push.Options{DB: db, Bus: events})
	must(err)
	r, err := rooms.New(t.Context(), rooms.Options{DB: db, Bus: events, Keys: signingKeys{key, servers}, Push: pushed})
	must(err)
	u, err := users.New(t.Context(), users.Options{
		DB: db, Bus: events, Servers: servers, Members: r, Argon2: users.Argon2{Time: 1, MemoryKiB: 8},
		Registration: users.Registration{Open: true},
	})
	must(err)
	synced := sync.New(sync.Options{DB: db, Rooms: r, Push: pushed, Bus: events})
	store, err := media.NewDisk(t.TempDir())
	must(err)
	files := media.New(t.Context(), media.Options{DB: db, Store: store, Local: u.Local, MaxUpload: 1 << 20, ImageBytes: 1 << 20})
	notified := pushers.New(pushers.Options{DB: db, Bus: events, Rooms: r, Rules: pushed, Sync: synced, Plain: true})
	a := admin.New(t.Context(), admin.Options{DB: db, Accounts: u, Graph: r, Files: files, Tenants: len(servers)})
	t.Cleanup(func() {
		a.Close()
		notified.Close()
		files.Close()
		synced.Close()
		if err := u.Close(); err != nil {
			t.Error(err)
		}
		r.Close()
	})
	limits := httpx.NewLimiter(map[string]httpx.Rate{"message": {PerSecond: 0.001, Burst: 3}, "": {PerSecond: 1e6, Burst: 1e6}}, nil)
	router := httpx.New(httpx.Options{Auth: clientapi.Authenticator{Users: u}, Limits: limits})
	clientapi.Register(router, clientapi.Deps{
		Users: u, Devices: devices.New(devices.Options{DB: db, Bus: events, Local: u.Local}), Rooms: r, Push: pushed, Pushers: notified, Sync: synced,
		Search: search.New(db, r), Reports: reports.New(db, r, nil), BaseURL: "https://hs1",
	})
	mediaapi.Register(router, mediaapi.Deps{Media: files, MaxUpload: 1 << 20})
	adminapi.Register(router, adminapi.Deps{Admin: a, Users: u, Rooms: r, Version: "test"})
	s := &server{t: t, router: router, db: db, admin: a}
	s.boss = s.register("boss")
	nid, err := db.FindUserNID(t.Context(), "@boss:hs1")
	must(err)
	c := &storage.Change{}
	c.Guard(storage.UpdateUserFlags(nid, storage.UserAdmin, 0))
	c.Live(storage.Live{Kind: storage.KindSession, User: nid})
	must(db.Commit(t.Context(), c))
	return s
}

// answer is a response with its JSON.
type answer struct {
	status int
	raw    string
	body   map[string]any
}

// at is a member of the answer, by names with dots between them.
func (a answer) at(path string) any {
	var v any = a.body
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func (s *server) do(method, path, token, body string) answer {
	s.t.Helper()
	req := httptest.NewRequestWithContext(s.t.Context(), method, path, bytes.NewReader([]byte(body)))
	req.Host = cmp.Or(s.host, "hs1")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, req)
	a := answer{status: w.Code, raw: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.body)
	return a
}

// ok makes a request of the administrator that must succeed.
func (s *server) ok(method, path, body string) answer {
	s.t.Helper()
	return s.as(s.boss, method, path, body)
}

// as makes a request of anybody that must succeed.
func (s *server) as(token, method, path, body string) answer {
	s.t.Helper()
	a := s.do(method, path, token, body)
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		s.t.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
	}
	return a
}

// fails makes a request of the administrator that must be refused.
func (s *server) fails(method, path, body string, status int, code string) {
	s.t.Helper()
	a := s.do(method, path, s.boss, body)
	if got, _ := a.body["errcode"].(string); a.status != status || got != code {
		s.t.Errorf("%s %s: %d %s, want %d %s", method, path, a.status, a.raw, status, code)
	}
}

// is makes a request of the administrator and compares a member of the answer.
func (s *server) is(method, path, body, member string, want any) {
	s.t.Helper()
	got, _ := json.Marshal(s.ok(method, path, body).at(member))
	wanted, _ := json.Marshal(want)
	if !bytes.Equal(got, wanted) {
		s.t.Errorf("%s %s: %s is %s, want %s", method, path, member, got, wanted)
	}
}

func (s *server) register(name string) string {
	s.t.Helper()
	a := s.as("", "POST", v3+"/register", `{"username":"`+name+`","password":"secret1234","device_id":"`+strings.ToUpper(name)+`","auth":{"type":"m.login.dummy"}}`)
	return a.body["access_token"].(string)
}

func (s *server) createRoom(token, body string) string {
	s.t.Helper()
	return s.as(token, "POST", v3+"/createRoom", body).body["room_id"].(string)
}

func (s *server) join(token, room string) {
	s.t.Helper()
	s.as(token, "POST", v3+"/join/"+url.PathEscape(room), `{}`)
}

// send sends a text and answers the event's id.
func (s *server) send(token, room, text string) string {
	s.t.Helper()
	a := s.as(token, "PUT", v3+"/rooms/"+url.PathEscape(room)+"/send/m.room.message/"+url.PathEscape(text), `{"msgtype":"m.text","body":"`+text+`"}`)
	return a.body["event_id"].(string)
}

// acts lists what was recorded, oldest first.
func (s *server) acts() (out []string) {
	s.t.Helper()
	list, err := s.db.ListAudit(s.t.Context(), s.tenant(), 0, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		out = append(out, list[i].Act)
	}
	return out
}

func (s *server) tenant() int64 {
	s.t.Helper()
	u, err := s.db.FindUser(s.t.Context(), "@boss:hs1")
	if err != nil {
		s.t.Fatal(err)
	}
	return u.Tenant
}

// recorded fails unless the last act has this name.
func (s *server) recorded(act string) {
	s.t.Helper()
	if acts := s.acts(); len(acts) == 0 || acts[len(acts)-1] != act {
		s.t.Errorf("the record ends with %v, want %s", acts, act)
	}
}

// done asks for the status of work until it is done, and gives the last answer.
func (s *server) done(path string) answer {
	s.t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		a := s.ok("GET", path, "")
		if st := a.body["status"]; st != "active" && st != "scheduled" {
			return a
		}
		select {
		case <-again.C:
		case <-s.t.Context().Done():
			s.t.Fatal("the work never ends")
		}
	}
}

func esc(s string) string { return url.PathEscape(s) }
