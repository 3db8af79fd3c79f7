package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// server is the name of the installation, as tests/load/spawn configures it.
const server = matrix.ServerName("localhost")

// step is how many rows, accounts or events go into one Change.
const step = 500

// sizes say how large an installation is.
type sizes struct {
	Accounts, Devices, Others, Servers, Rooms, Events, Hall, Busy, Space, Media int
}

// installation names what requests are made of in a database that has been filled.
type installation struct {
	Sizes sizes
	// Hall is the room of many members, Space the space of many rooms, Room one of the many small ones.
	Hall, Space, Room matrix.RoomID
	// Event is one in the middle of the hall, Folk its last member.
	Event matrix.EventID
	Folk  matrix.UserID
	// Before is a position from which on the devices of everybody in the hall have changed.
	Before int64
}

// token is the access token of an account's first device; the account of number 0 is an administrator, that of 1 the busy one.
func token(account int) string { return fmt.Sprintf("large-%d-0", account) }

func local(i int) matrix.UserID { return matrix.UserID(fmt.Sprintf("@user%d:%s", i, server)) }

func (s *sizes) other(i int) matrix.UserID {
	return matrix.UserID(fmt.Sprintf("@guest%d:s%d.example", i, i%s.Servers))
}

// name is what an account is called: one of 1,000 first and 500 last names, so that some are many.
func name(i int) string { return fmt.Sprintf("Anne%d Durand%d", i%1000, i*7%500) }

// filler writes an installation into an empty database of a server that does not run.
type filler struct {
	sizes
	log    *slog.Logger
	db     *storage.DB
	rooms  *rooms.Service
	tenant int64
	out    installation
}

// keyring signs for every server: nothing that is filled in here leaves the machine.
type keyring struct{ key matrix.SigningKey }

func (k keyring) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	key := k.key
	key.ServerName = name
	return key, true
}

// fill fills a database through the same code that the server writes with, so that every index is as it would be.
func fill(ctx context.Context, log *slog.Logger, url string, s sizes) (*installation, error) {
	b := bus.New[storage.Batch]()
	db, err := storage.Open(ctx, storage.Options{URL: url, Publish: b.Publish})
	if err != nil {
		return nil, err
	}
	f := &filler{sizes: s, log: log, db: db, out: installation{Sizes: s}}
	err = f.all(ctx, b)
	return &f.out, errors.Join(err, db.Close())
}

func (f *filler) all(ctx context.Context, b *bus.Bus[storage.Batch]) error {
	key, err := matrix.GenerateSigningKey(server)
	if err != nil {
		return err
	}
	rules, err := push.New(ctx, push.Options{DB: f.db, Bus: b})
	if err != nil {
		return err
	}
	if f.rooms, err = rooms.New(ctx, rooms.Options{DB: f.db, Bus: b, Keys: keyring{key}, Push: rules}); err != nil {
		return err
	}
	defer f.rooms.Close()
	if f.tenant, err = f.firstTenant(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		what string
		act  func(context.Context) error
	}{{"accounts", f.accounts}, {"people of other servers", f.others}, {"files", f.media}, {"rooms", f.smallRooms}, {"the space", f.space},
		{"the large room", f.hall}, {"devices that changed", f.devicesChanged}} {
		began := time.Now()
		if err := part.act(ctx); err != nil {
			return fmt.Errorf("fill %s: %w", part.what, err)
		}
		f.log.Info("filled", "what", part.what, "seconds", int(time.Since(began).Seconds()))
	}
	return nil
}

func (f *filler) firstTenant(ctx context.Context) (int64, error) {
	names, err := f.db.ListServerNames(ctx)
	if err != nil {
		return 0, err
	}
	if tenant, ok := names[server]; ok {
		return tenant, nil
	}
	return 0, errors.New("the server has never run on this database")
}

// inSteps calls act for 0…n-1, with one Change for each step of them.
func (f *filler) inSteps(ctx context.Context, n int, act func(c *storage.Change, i int) error) error {
	for from := 0; from < n; from += step {
		c := &storage.Change{}
		for i := from; i < min(from+step, n); i++ {
			if err := act(c, i); err != nil {
				return err
			}
		}
		if err := f.db.Commit(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// accounts adds accounts, their devices, and a session of each device.
func (f *filler) accounts(ctx context.Context) error {
	ids := make([]matrix.UserID, f.Accounts)
	for i := range ids {
		ids[i] = local(i)
	}
	if err := f.db.InternUsers(ctx, ids); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	return f.inSteps(ctx, f.Accounts, func(c *storage.Change, i int) error {
		nid, err := f.db.FindUserNID(ctx, ids[i])
		if err != nil {
			return err
		}
		u := storage.User{NID: nid, Tenant: f.tenant, ID: ids[i], Created: now - int64(i), DisplayName: name(i)}
		if i == 0 {
			u.Flags = storage.UserAdmin
		}
		c.Guard(storage.InsertUser(u))
		for d := range f.Devices {
			device, err := f.db.NewID(ctx, storage.DeviceNIDs)
			if err != nil {
				return err
			}
			session, err := f.db.NewID(ctx, storage.SessionNIDs)
			if err != nil {
				return err
			}
			hash := sha256.Sum256(fmt.Appendf(nil, "large-%d-%d", i, d))
			c.Guard(storage.InsertDevice(storage.Device{NID: device, User: nid, ID: matrix.DeviceID(fmt.Sprint("DEVICE", d)), DisplayName: "Phone",
				Created: now}, &device))
			c.Add(&storage.SessionRow{Session: storage.Session{NID: session, User: nid, Device: device, Tenant: f.tenant, TokenHash: hash[:], Created: now}})
		}
		return nil
	})
}

// others adds people of other servers, who have names and no accounts.
func (f *filler) others(ctx context.Context) error {
	ids := make([]matrix.UserID, f.Others)
	for i := range ids {
		ids[i] = f.other(i)
	}
	if err := f.db.InternUsers(ctx, ids); err != nil {
		return err
	}
	return f.inSteps(ctx, f.Others, func(c *storage.Change, i int) error {
		nid, err := f.db.FindUserNID(ctx, ids[i])
		c.Add(&storage.RemoteNameRow{User: nid, DisplayName: name(f.Accounts + i)})
		return err
	})
}

// media adds files without content, and servers that were told something.
func (f *filler) media(ctx context.Context) error {
	now := time.Now().UnixMilli()
	err := f.inSteps(ctx, f.Servers, func(c *storage.Change, i int) error {
		c.Add(&storage.DestinationRow{Destination: storage.Destination{Origin: server, Server: matrix.ServerName(fmt.Sprintf("s%d.example", i)), Success: now}})
		return nil
	})
	if err != nil {
		return err
	}
	return f.inSteps(ctx, f.Media, func(c *storage.Change, i int) error {
		nid, err := f.db.FindUserNID(ctx, local(i%f.Accounts))
		digest := sha256.Sum256(fmt.Append(nil, i))
		c.Add(&storage.MediaRow{Media: storage.Media{Origin: server, ID: fmt.Sprint("file", i), Tenant: f.tenant, User: nid, State: storage.MediaReady,
			Digest: digest[:], Size: int64(i%1000) << 10, Type: "image/png", Name: "picture.png", Created: now - int64(i)}})
		return err
	})
}

// devicesChanged lets the devices of all accounts change once more.
func (f *filler) devicesChanged(ctx context.Context) error {
	f.out.Before = f.db.Position()
	return f.inSteps(ctx, f.Accounts, func(c *storage.Change, i int) error {
		nid, err := f.db.FindUserNID(ctx, local(i))
		at := c.Live(storage.Live{Kind: storage.KindDeviceList, User: nid})
		c.Add(&storage.DeviceListRow{At: storage.At{Live: at + 1}, User: nid})
		return err
	})
}

// event is a draft; key nil makes a message.
func event(sender matrix.UserID, typ string, key *string, content map[string]any) rooms.Draft {
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return rooms.Draft{Sender: sender, Type: typ, StateKey: key, Content: raw}
}

func joined(user matrix.UserID, called string) rooms.Draft {
	key := string(user)
	return event(user, "m.room.member", &key, map[string]any{"membership": "join", "displayname": called})
}

// said is a message; one of 20 is a picture.
func said(sender matrix.UserID, i int) rooms.Draft {
	content := map[string]any{"msgtype": "m.text", "body": fmt.Sprintf("Message %d: the meeting of %s is at ten.", i, []string{"Monday", "Friday"}[i%2])}
	if i%20 == 0 {
		content = map[string]any{"msgtype": "m.image", "body": "picture.png", "url": fmt.Sprintf("mxc://%s/file%d", server, i)}
	}
	return event(sender, "m.room.message", nil, content)
}

// newRoom makes a room with what presets put into it; the first of its people creates it.
func (f *filler) newRoom(ctx context.Context, called, kind string, maker matrix.UserID, rest []rooms.Draft, public bool) (*rooms.Room, error) {
	version, _ := matrix.Version(matrix.DefaultVersion)
	create := json.RawMessage(`{"room_version":"` + version.ID + `"}`)
	if kind != "" {
		create = json.RawMessage(`{"room_version":"` + version.ID + `","type":"` + kind + `"}`)
	}
	key := ""
	drafts := append([]rooms.Draft{
		joined(maker, "Maker"),
		event(maker, "m.room.power_levels", &key, map[string]any{"users_default": 0}),
		event(maker, "m.room.join_rules", &key, map[string]any{"join_rule": "public"}),
		event(maker, "m.room.history_visibility", &key, map[string]any{"history_visibility": "shared"}),
		event(maker, "m.room.name", &key, map[string]any{"name": called}),
		event(maker, "m.room.topic", &key, map[string]any{"topic": "What " + called + " is about"}),
	}, rest...)
	r, _, err := f.rooms.CreateRoom(ctx, version, maker, create, func(*rooms.View) ([]rooms.Draft, error) { return drafts, nil })
	if err == nil && public {
		err = f.rooms.Publish(ctx, r, true)
	}
	return r, err
}

// say adds events to a room in steps.
func (f *filler) say(ctx context.Context, r *rooms.Room, n int, draft func(i int) rooms.Draft) (last matrix.EventID, err error) {
	for from := 0; from < n; from += step {
		var drafts []rooms.Draft
		for i := from; i < min(from+step, n); i++ {
			drafts = append(drafts, draft(i))
		}
		stored, err := f.rooms.Compose(ctx, r, func(*rooms.View) ([]rooms.Draft, error) { return drafts, nil })
		if err != nil {
			return "", err
		}
		last = stored[len(stored)-1].ID
	}
	return last, nil
}

// The people of a small room beside its maker and the busy account.
const (
	neighbours = 8 // accounts
	guests     = 5 // people of other servers
	furniture  = 7 // events that each room has: its create event and what newRoom adds
)

// smallRooms adds the many rooms, two at a time. A quarter of them is published.
func (f *filler) smallRooms(ctx context.Context) error {
	people := neighbours + guests
	messages := max(1, (f.Events-f.Hall*3/2)/f.Rooms-people-furniture)
	var next atomic.Int64
	failed := make(chan error, 2)
	for range cap(failed) {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= f.Rooms || ctx.Err() != nil {
					failed <- ctx.Err()
					return
				}
				if err := f.smallRoom(ctx, i, messages); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return errors.Join(<-failed, <-failed)
}

func (f *filler) smallRoom(ctx context.Context, i, messages int) error {
	maker := local(2 + i%(f.Accounts-2))
	var rest []rooms.Draft
	if i < f.Busy {
		rest = append(rest, joined(local(1), name(1)))
	}
	for k := range neighbours {
		n := 2 + (i*neighbours+k*31+17)%(f.Accounts-2)
		if local(n) != maker {
			rest = append(rest, joined(local(n), name(n)))
		}
	}
	for k := range min(guests, f.Others) {
		n := (i*guests + k) % f.Others
		rest = append(rest, joined(f.other(n), name(f.Accounts+n)))
	}
	for k := range messages {
		rest = append(rest, said(maker, i+k))
	}
	r, err := f.newRoom(ctx, fmt.Sprintf("Room %d of service %d", i*7919%f.Rooms, i%97), "", maker, rest, i%4 == 0)
	if err == nil && i == 0 {
		f.out.Room = r.ID()
	}
	return err
}

// space adds a space of published rooms.
func (f *filler) space(ctx context.Context) error {
	list, err := f.db.ListPublicRooms(ctx)
	if err != nil {
		return err
	}
	r, err := f.newRoom(ctx, "The space", "m.space", local(1), nil, true)
	if err != nil {
		return err
	}
	f.out.Space = r.ID()
	_, err = f.say(ctx, r, min(f.Space, len(list)), func(i int) rooms.Draft {
		key := string(list[i].ID)
		return event(local(1), "m.space.child", &key, map[string]any{"via": []string{string(server)}})
	})
	return err
}

// hall adds the room of many members, and one message for two of them.
func (f *filler) hall(ctx context.Context) error {
	r, err := f.newRoom(ctx, "The large room", "", local(1), nil, false)
	if err != nil {
		return err
	}
	f.out.Hall = r.ID()
	person := func(i int) matrix.UserID {
		if i < f.Accounts-2 {
			return local(i + 2)
		}
		return f.other(i - f.Accounts + 2)
	}
	members := min(f.Hall-1, f.Accounts-2+f.Others)
	f.out.Folk = person(members - 1)
	if _, err := f.say(ctx, r, members, func(i int) rooms.Draft { return joined(person(i), name(i)) }); err != nil {
		return err
	}
	half := f.Hall / 4
	if f.out.Event, err = f.say(ctx, r, half, func(i int) rooms.Draft { return said(person(i), i) }); err != nil {
		return err
	}
	_, err = f.say(ctx, r, half, func(i int) rooms.Draft { return said(person(i), i) })
	return err
}
