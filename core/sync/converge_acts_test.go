package sync_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/storage"
)

// act does one thing at one of the nodes. That it is refused is as good.
func (p *person) act() {
	r := p.w.node(p.rnd)
	err := p.things()[p.rnd.IntN(len(p.things()))](r)
	var refused *matrix.Error
	if err != nil && !errors.As(err, &refused) && !errors.Is(err, storage.ErrStale) {
		p.w.errorf("%s could not act: %v", p.id(), err)
	}
}

// things are what people do; what is listed twice they do more often.
func (p *person) things() []func(*rig) error {
	return []func(*rig) error{p.makeRoom, p.enter, p.enter, p.enter, p.goes, p.puts, p.puts, p.invites, p.invites, p.knocks, p.forgets,
		p.says, p.says, p.says, p.says, p.changes, p.changes, p.redacts, p.reads, p.reads, p.notes, p.notes, p.types, p.types, p.shows, p.shows,
		p.newKeys, p.newKeys, p.newKeys, p.writesToDevice, p.writesToDevice, p.uploads, p.upgrades}
}

// pick is one of the rooms of this round; nil as long as there is none.
func (p *person) pick(r *rig) (*rooms.Room, error) {
	p.w.mu.Lock()
	n := len(p.w.rooms)
	var id matrix.RoomID
	if n > 0 {
		id = p.w.rooms[p.rnd.IntN(n)]
	}
	p.w.mu.Unlock()
	if n == 0 {
		return nil, matrix.NotFound("There is no room yet.")
	}
	return r.rooms.Room(ctx, id)
}

func (p *person) other() *person { return p.w.people[p.rnd.IntN(len(p.w.people))] }

func (p *person) makeRoom(r *rig) error {
	p.w.mu.Lock()
	enough := len(p.w.rooms) >= 4
	p.w.mu.Unlock()
	if enough {
		return p.enter(r)
	}
	q := &rooms.CreateRequest{Preset: []string{"public_chat", "public_chat", "private_chat"}[p.rnd.IntN(3)]}
	if p.rnd.IntN(2) == 0 {
		q.Invite = []matrix.UserID{p.other().id()}
	}
	room, err := r.rooms.Create(ctx, p.caller, q)
	if err != nil {
		return err
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.rooms = append(p.w.rooms, room.ID())
	return nil
}

// stand changes a membership.
func (p *person) stand(r *rig, target matrix.UserID, how ...func(*rooms.Service, rooms.MembershipChange) error) error {
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	return how[p.rnd.IntN(len(how))](r.rooms, rooms.MembershipChange{Room: room, Sender: p.id(), Target: target})
}

func unban(s *rooms.Service, m rooms.MembershipChange) error { return s.Unban(ctx, m) }
func knock(s *rooms.Service, m rooms.MembershipChange) error { return s.Knock(ctx, m) }

func (p *person) enter(r *rig) error   { return p.stand(r, p.id(), join) }
func (p *person) goes(r *rig) error    { return p.stand(r, p.id(), leave) }
func (p *person) knocks(r *rig) error  { return p.stand(r, p.id(), knock) }
func (p *person) invites(r *rig) error { return p.stand(r, p.other().id(), invite) }
func (p *person) puts(r *rig) error    { return p.stand(r, p.other().id(), kick, ban, unban, unban) }

func (p *person) forgets(r *rig) error {
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	return r.rooms.Forget(ctx, room, p.id())
}

func (p *person) says(r *rig) error {
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	content := object{"msgtype": "m.text", "body": fmt.Sprint(p.rnd.Int())}
	if of := p.event(room.ID()); of != "" && p.rnd.IntN(4) == 0 {
		content["m.relates_to"] = object{"rel_type": "m.thread", "event_id": of}
	}
	if p.rnd.IntN(4) == 0 {
		content["m.mentions"] = object{"user_ids": []matrix.UserID{p.other().id()}}
	}
	raw, _ := json.Marshal(content)
	id, err := r.rooms.Send(ctx, rooms.SendRequest{Room: room, Sender: p.id(), Type: "m.room.message", Content: raw})
	if err == nil {
		p.w.mu.Lock()
		p.w.said[room.ID()] = append(p.w.said[room.ID()], id)
		p.w.mu.Unlock()
	}
	return err
}

// event is something that was said in a room.
func (p *person) event(room matrix.RoomID) matrix.EventID {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if n := len(p.w.said[room]); n > 0 {
		return p.w.said[room][n-1-p.rnd.IntN(min(n, 4))]
	}
	return ""
}

func (p *person) changes(r *rig) error {
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	typ, key := "m.room.topic", ""
	content := object{"topic": fmt.Sprint(p.rnd.IntN(100))}
	switch p.rnd.IntN(4) {
	case 0:
		typ, content = "m.room.name", object{"name": []string{"", "a", "b"}[p.rnd.IntN(3)]}
	case 1:
		typ, key, content = "m.room.member", string(p.id()), object{"membership": "join", "displayname": fmt.Sprint(p.rnd.IntN(100))}
	}
	raw, _ := json.Marshal(content)
	if typ == "m.room.member" { // Why: only a member may say so without coming in by it
		view, err := r.rooms.Current(ctx, room)
		if err != nil {
			return err
		}
		if m, err := view.Membership(ctx, p.id()); err != nil || m != "join" {
			return err
		}
	}
	_, err = r.rooms.Send(ctx, rooms.SendRequest{Room: room, Sender: p.id(), Type: typ, StateKey: &key, Content: raw})
	return err
}

func (p *person) redacts(r *rig) error {
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	target := p.event(room.ID())
	if target == "" {
		return nil
	}
	_, err = r.rooms.Redact(ctx, rooms.SendRequest{Room: room, Sender: p.id()}, target, "")
	return err
}

func (p *person) reads(r *rig) error {
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	id := p.event(room.ID())
	if id == "" {
		return nil
	}
	x := syncing.Receipt{Room: room.ID(), Type: []string{"m.read", "m.read", "m.read.private", "m.fully_read"}[p.rnd.IntN(4)], Event: id}
	if x.Type != "m.fully_read" && p.rnd.IntN(3) == 0 {
		x.Thread = "main"
	}
	return r.sync.SetReceipts(ctx, &p.caller, x)
}

// notes sets data of his own: for himself or for a room.
func (p *person) notes(r *rig) error {
	row := &storage.AccountDataRow{User: p.caller.UserNID, Type: fmt.Sprint("t", p.rnd.IntN(3)), Content: fmt.Appendf(nil, `{"n":%d}`, p.rnd.IntN(1000))}
	if p.rnd.IntN(4) == 0 {
		row.Content = []byte(`{}`)
	}
	if p.rnd.IntN(2) == 0 {
		room, err := p.pick(r)
		if err != nil {
			return err
		}
		row.Room = room.NID()
	}
	change := &storage.Change{}
	row.At.Live = change.Live(storage.Live{Kind: storage.KindAccountData, User: row.User, Room: row.Room, Value: row}) + 1
	change.Add(row)
	return r.db.Commit(ctx, change)
}

func (p *person) types(r *rig) error {
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	return r.sync.SetTyping(ctx, &p.caller, room.ID(), p.rnd.IntN(2) == 0, 20*time.Second)
}

func (p *person) shows(r *rig) error {
	return r.sync.SetPresence(ctx, &p.caller, []string{"online", "unavailable"}[p.rnd.IntN(2)], fmt.Sprint(p.rnd.IntN(10)))
}

func (p *person) newKeys(r *rig) error {
	change := &storage.Change{}
	live := change.Live(storage.Live{Kind: storage.KindDeviceList, User: p.caller.UserNID})
	change.Add(&storage.DeviceListRow{At: storage.At{Live: live + 1}, User: p.caller.UserNID})
	return r.db.Commit(ctx, change)
}

// uploads adds a one-time key to the first device.
func (p *person) uploads(r *rig) error {
	change := &storage.Change{}
	row := &storage.OneTimeKeyRow{Seq: p.rnd.Int64()}
	row.Device, row.Algorithm, row.ID, row.Body = p.caller.DeviceNID, "signed_curve25519", fmt.Sprint(p.rnd.Int()), []byte(`"x"`)
	change.Live(storage.Live{Kind: storage.KindKeyCount, User: p.caller.UserNID})
	change.Add(row)
	return r.db.Commit(ctx, change)
}

// writesToDevice sends to one of somebody's devices what counts up for this sender and device.
func (p *person) writesToDevice(r *rig) error {
	to := p.other()
	device := to.client
	if to.also != nil && p.rnd.IntN(2) == 0 {
		device = to.also
	}
	p.w.mu.Lock()
	of := p.w.sent[device.caller.DeviceNID]
	if of == nil {
		of = map[string]int{}
		p.w.sent[device.caller.DeviceNID] = of
	}
	of[string(p.id())]++
	n := of[string(p.id())]
	p.w.mu.Unlock()
	change := &storage.Change{}
	live := change.Live(storage.Live{Kind: storage.KindToDevice, User: to.caller.UserNID})
	change.Add(&storage.ToDeviceRow{At: storage.At{Live: live + 1}, Device: device.caller.DeviceNID, Sender: string(p.id()),
		Type: fmt.Sprint(n), Content: []byte(`{}`)})
	return r.db.Commit(ctx, change)
}

func (p *person) upgrades(r *rig) error {
	if p.rnd.IntN(4) != 0 {
		return p.enter(r)
	}
	room, err := p.pick(r)
	if err != nil {
		return err
	}
	next, err := r.rooms.Upgrade(ctx, p.caller, room, "12", nil)
	if err != nil {
		return err
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.rooms = append(p.w.rooms, next.ID())
	return nil
}
