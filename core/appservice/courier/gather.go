package courier

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/core/appservice"
	"rempart/internal/matrix"
	"rempart/storage"
)

// gather takes in what was heard since the last time.
func (p *dispatch) gather(ctx context.Context) error {
	p.mu.Lock()
	moved, all, lists, people, notes, heard := p.moved, p.all, p.lists, p.people, p.notes, p.heard
	p.moved, p.people, p.heard = map[int64]bool{}, map[int64]bool{}, map[int64]bool{}
	p.all, p.lists, p.notes = false, false, nil
	p.mu.Unlock()
	for _, l := range p.links {
		l.rows = l.rows || all || moved[l.Number]
		l.lists = l.of.Encryption && (l.lists || lists || all)
		l.mail = l.of.Encryption && (l.mail || all)
		if heard[l.Number] {
			l.Retry = 0
		}
	}
	for nid := range people {
		if err := p.concern(ctx, nid); err != nil {
			return err
		}
	}
	for i := range notes {
		if err := p.spread(ctx, &notes[i]); err != nil {
			p.Log.Warn("tell application services what is ephemeral", "error", err)
		}
	}
	return nil
}

// concern finds the services whose user somebody is.
func (p *dispatch) concern(ctx context.Context, nid int64) error {
	var user matrix.UserID
	for _, l := range p.links {
		if !l.of.Encryption {
			continue
		}
		if user == "" {
			var err error
			if user, err = p.DB.GetUserID(ctx, nid); err != nil {
				return err
			}
		}
		if l.of.Owns(user) {
			l.mail, l.counted[nid] = true, true
		}
	}
	return nil
}

// spread queues something ephemeral for the services that follow it. Spec: application-service-api/#pushing-ephemeral-data
func (p *dispatch) spread(ctx context.Context, n *note) error {
	switch {
	case n.event != nil:
		return p.spreadPresence(ctx, n)
	case n.receipt != nil:
		return p.spreadReceipt(ctx, n)
	}
	room, of, err := p.following(ctx, n.room)
	if err != nil || len(of) == 0 {
		return err
	}
	users := n.typists
	if users == nil {
		users = []matrix.UserID{}
	}
	event, err := json.Marshal(map[string]any{"type": "m.typing", "room_id": room, "content": map[string]any{"user_ids": users}})
	p.tell(of, "t "+strconv.FormatInt(n.room, 10), event)
	return err
}

// following are a room's id and the services that follow it.
func (p *dispatch) following(ctx context.Context, nid int64) (matrix.RoomID, []*appservice.Service, error) {
	room, err := p.Rooms.RoomByNID(ctx, nid)
	if err != nil {
		return "", nil, err
	}
	of, err := p.Rooms.Followers(ctx, room)
	return room.ID(), of, err
}

// tell queues an event for some services.
func (p *dispatch) tell(to []*appservice.Service, key string, event json.RawMessage) {
	for _, l := range p.links {
		for _, s := range to {
			if s == l.of && event != nil {
				l.tell(key, event)
			}
		}
	}
}

// maxPresenceRooms bounds the rooms that are looked at for who follows somebody's presence.
const maxPresenceRooms = 200

func (p *dispatch) spreadPresence(ctx context.Context, n *note) error {
	to := p.Services.OfUser(n.user)
	for _, nid := range n.rooms[:min(len(n.rooms), maxPresenceRooms)] {
		if len(to) >= len(p.links) {
			break
		}
		_, of, err := p.following(ctx, nid)
		if err != nil {
			return err
		}
		to = append(to, without(of, to)...)
	}
	p.tell(to, "p "+string(n.user), n.event)
	return nil
}

// without are the services of a list that are not in another.
func without(list, other []*appservice.Service) (out []*appservice.Service) {
next:
	for _, s := range list {
		for _, o := range other {
			if s == o {
				continue next
			}
		}
		out = append(out, s)
	}
	return out
}

// spreadReceipt queues a receipt; a private one is for the services whose user its owner is.
func (p *dispatch) spreadReceipt(ctx context.Context, n *note) error {
	r := n.receipt
	if r.Type != "m.read" && r.Type != "m.read.private" {
		return nil
	}
	room, of, err := p.following(ctx, n.room)
	if err != nil || len(of) == 0 {
		return err
	}
	user, err := p.DB.GetUserID(ctx, r.User)
	if err != nil {
		return err
	}
	if r.Type == "m.read.private" {
		of = p.Services.OfUser(user)
	}
	event, err := receiptEvent(room, user, r)
	p.tell(of, "r "+strconv.FormatInt(n.room, 10)+" "+string(user)+" "+r.Type+" "+r.Thread, event)
	return err
}

func receiptEvent(room matrix.RoomID, user matrix.UserID, r *storage.ReceiptRow) (json.RawMessage, error) {
	data := map[string]any{"ts": r.TS}
	if r.Thread != "" {
		data["thread_id"] = r.Thread
	}
	return json.Marshal(map[string]any{"type": "m.receipt", "room_id": room, "content": map[matrix.EventID]any{
		r.EventID: map[string]any{r.Type: map[matrix.UserID]any{user: data}},
	}})
}
