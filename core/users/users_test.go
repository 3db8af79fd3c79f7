package users_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"rempart/core/users"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// rig is a service on a database of one engine, with a clock that tests move.
type rig struct {
	*users.Service
	t      *testing.T
	db     *storage.DB
	now    *clock
	tokens map[string]string // by name, of those that People registered
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// each runs a test on both engines. Registration is open unless set changes the options.
func each(t *testing.T, set func(*users.Options), fn func(t *testing.T, r *rig)) {
	t.Helper()
	pgtest.Each(t, func(t *testing.T, url string) {
		events := bus.New[storage.Batch]()
		db := storagetest.Open(t, storage.Options{URL: url, Publish: events.Publish})
		fn(t, newRig(t, db, events, set))
	})
}

func newRig(t *testing.T, db *storage.DB, events *bus.Bus[storage.Batch], set func(*users.Options)) *rig {
	t.Helper()
	r := &rig{t: t, db: db, now: &clock{t: time.UnixMilli(1_800_000_000_000)}}
	o := users.Options{
		DB: db, Bus: events, Servers: []matrix.ServerName{"hs1", "other.example"}, Clock: r.now.Now,
		Registration: users.Registration{Open: true}, Argon2: users.Argon2{Time: 1, MemoryKiB: 8},
	}
	if set != nil {
		set(&o)
	}
	s, err := users.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Service = s
	return r
}

var dummy = json.RawMessage(`{"type":"m.login.dummy"}`)

// register makes an account with the password "secret".
func (r *rig) register(name string) (*users.Session, matrix.Caller) {
	r.t.Helper()
	s, err := r.Register(r.t.Context(), users.RegisterRequest{Username: name, Password: "secret", Auth: dummy})
	if err != nil {
		r.t.Fatal(err)
	}
	return s, r.caller(s.Token)
}

func (r *rig) caller(token string) matrix.Caller {
	r.t.Helper()
	c, err := r.Authenticate(r.t.Context(), token, users.Seen{IP: "192.0.2.1", UserAgent: "test"}, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) login(name, password string, device matrix.DeviceID) (*users.Session, error) {
	return r.Login(context.Background(), users.LoginRequest{
		Identifier: users.Identifier{Type: "m.id.user", User: name}, Password: password, DeviceID: device,
	})
}

// refused checks that an error is a refusal of that code.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	if !matrix.HasCode(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func (r *rig) gone(token string) {
	r.t.Helper()
	_, err := r.Authenticate(r.t.Context(), token, users.Seen{}, false)
	refused(r.t, err, matrix.CodeUnknownToken)
}

func TestOneNameIsGivenOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		const racers = 100
		var wins, taken int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range racers {
			all.Go(func() {
				for {
					_, err := r.Register(t.Context(), users.RegisterRequest{Username: "same", Password: "secret", Auth: dummy})
					if matrix.HasCode(err, matrix.CodeLimitExceeded) {
						continue // too many hashes at once: as told, again
					}
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						wins++
					case matrix.HasCode(err, matrix.CodeUserInUse):
						taken++
					default:
						t.Error(err)
					}
					return
				}
			})
		}
		all.Wait()
		if wins != 1 || taken != racers-1 {
			t.Errorf("%d won and %d were told the name is taken, want 1 and %d", wins, taken, racers-1)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		s, c := r.register("User-UPPER")
		if s.UserID != "@user-upper:hs1" || c.User != s.UserID || c.Tenant == 0 || c.Device != s.DeviceID {
			t.Errorf("got %+v, caller %+v", s, c)
		}
		for _, bad := range []string{"a!b", "é", "a b", "@a:hs1", string(make([]byte, 300))} {
			refused(t, r.Available(t.Context(), bad, ""), matrix.CodeInvalidUsername)
		}
		refused(t, r.Available(t.Context(), "user-upper", ""), matrix.CodeUserInUse)
		if err := r.Available(t.Context(), "user-upper", "other.example:8448"); err != nil {
			t.Errorf("a name taken on one server is free on another: %v", err)
		}
		other, err := r.Register(t.Context(), users.RegisterRequest{Username: "user-upper", Password: "secret", Auth: dummy, Host: "other.example"})
		if err != nil || other.UserID != "@user-upper:other.example" {
			t.Fatalf("register on the other tenant: %v, %v", other, err)
		}
		if r.caller(other.Token).Tenant == c.Tenant {
			t.Error("two server names share a tenant")
		}
		if own, err := r.Register(t.Context(), users.RegisterRequest{Password: "x", Auth: dummy}); err != nil || own.UserID.Localpart() == "" {
			t.Errorf("a name of the server's choice: %v, %v", own, err)
		}
	})
}

func TestTokenLife(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		first, _ := r.register("alice")
		second, err := r.login("@ALICE:hs1", "secret", "PHONE")
		if err != nil {
			t.Fatal(err)
		}
		third, err := r.login("alice", "secret", "")
		if err != nil {
			t.Fatal(err)
		}
		r.caller(third.Token)
		again, err := r.login("alice", "secret", "PHONE")
		if err != nil {
			t.Fatal(err)
		}
		r.gone(second.Token) // its device was used again
		was := r.caller(again.Token)
		if was.Device != "PHONE" {
			t.Errorf("device %q", was.Device)
		}
		if err := r.Logout(t.Context(), was); err != nil {
			t.Fatal(err)
		}
		r.gone(again.Token)
		if _, err := r.db.FindDevice(t.Context(), was.UserNID, "PHONE"); err == nil {
			t.Error("the device is still there after logging out")
		}
		if err := r.LogoutAll(t.Context(), r.caller(first.Token)); err != nil {
			t.Fatal(err)
		}
		r.gone(first.Token)
		r.gone(third.Token)
	})
}

func TestWrongLogins(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		r.register("alice")
		for _, c := range []struct{ name, password string }{{"alice", "wrong"}, {"nobody", "secret"}, {"alice", ""}, {"@alice:elsewhere", "secret"}} {
			_, err := r.login(c.name, c.password, "")
			refused(t, err, matrix.CodeForbidden)
		}
		for _, id := range []users.Identifier{{}, {Type: "m.id.user"}, {Type: "m.id.thirdparty"}, {Type: "m.id.phone", Phone: "1"}} {
			_, err := r.Login(t.Context(), users.LoginRequest{Identifier: id, Password: "secret"})
			refused(t, err, matrix.CodeMissingParam)
		}
	})
}

func TestRefresh(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		r.register("alice")
		s, err := r.Login(t.Context(), users.LoginRequest{Identifier: users.Identifier{Type: "m.id.user", User: "alice"}, Password: "secret", Refresh: true})
		if err != nil || s.RefreshToken == "" || s.ExpiresIn == 0 {
			t.Fatalf("%+v, %v", s, err)
		}
		device := r.caller(s.Token).Device
		r.now.Add(time.Hour)
		_, err = r.Authenticate(t.Context(), s.Token, users.Seen{}, false)
		if refused(t, err, matrix.CodeUnknownToken); matrix.AsError(err).Extra["soft_logout"] != true {
			t.Error("an expired token must be a soft logout")
		}
		lost, err := r.Refresh(t.Context(), s.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := r.Refresh(t.Context(), s.RefreshToken) // the first answer got lost
		if err != nil {
			t.Fatal(err)
		}
		r.gone(lost.Token)
		if r.caller(fresh.Token).Device != device {
			t.Error("the device changed")
		}
		r.gone(s.Token) // the new session was used: the old one has ended
		again, err := r.Refresh(t.Context(), fresh.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		r.caller(fresh.Token) // until the next one is used
		r.caller(again.Token)
		r.gone(fresh.Token)
		_, err = r.Refresh(t.Context(), s.RefreshToken) // somebody has a copy: the whole chain ends
		if refused(t, err, matrix.CodeUnknownToken); matrix.AsError(err).Extra["soft_logout"] != true {
			t.Error("the owner must be told to keep his keys")
		}
		r.gone(again.Token)
		_, err = r.Refresh(t.Context(), again.RefreshToken)
		refused(t, err, matrix.CodeUnknownToken)
		if _, err := r.db.FindDevice(t.Context(), r.mustUser("alice"), device); err != nil {
			t.Error("the device went with its sessions", err)
		}
	})
}

// mustUser is the number of an account.
func (r *rig) mustUser(name string) int64 {
	r.t.Helper()
	u, err := r.GetUser(r.t.Context(), matrix.UserID("@"+name+":hs1"))
	if err != nil {
		r.t.Fatal(err)
	}
	return u.NID
}

func TestLastSeenIsWritten(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		_, c := r.register("alice")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		d, err := r.db.FindDevice(t.Context(), c.UserNID, c.Device)
		if err != nil || d.LastSeen != r.now.Now().UnixMilli() || d.IP != "192.0.2.1" {
			t.Errorf("%+v, %v", d, err)
		}
	})
}
