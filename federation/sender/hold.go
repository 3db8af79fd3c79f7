package sender

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// holds reports whether an event must wait until its room is open again, and keeps it until then: from the moment that a room is frozen
// nothing of it leaves, also of what was written before.
func (p *dispatch) holds(ctx context.Context, d *destination, e *rooms.Stored) (bool, error) {
	if e == nil || e.Sender.Server() == d.Server || p.within(d) {
		return false, nil
	}
	held, err := p.Rooms.Held(ctx, e)
	if held && err == nil {
		p.held = append(p.held, &storage.HeldRow{Room: e.Row.Room, Event: e.Row.NID, Origin: d.Origin, Dest: d.Server})
		p.frozen[e.Row.Room] = true
	}
	return held, err
}

// sift takes out of a transaction that did not arrive what must wait now. What is left is another transaction; it reports false when
// nothing is.
func (p *dispatch) sift(ctx context.Context, d *destination, f *flight) (bool, error) {
	var kept []int64
	for _, nid := range f.PDUs {
		e, err := p.event(ctx, max(nid, -nid))
		if err != nil {
			return false, err
		}
		held, err := p.holds(ctx, d, e)
		if err != nil {
			return false, err
		}
		if !held {
			kept = append(kept, nid)
		}
	}
	if len(kept) == len(f.PDUs) {
		return true, nil
	}
	f.PDUs = kept
	d.land()
	p.unsaved[d] = true
	if len(f.PDUs)+len(f.EDUs) == 0 {
		d.Pos, d.Txn, d.Flight = max(d.Pos, d.FlightPos), "", nil
		return false, nil
	}
	raw, err := json.Marshal(f)
	d.Txn, d.Flight = newTxn(), raw
	return true, err
}

// release puts what was held back into the outbox again, room by room, for the servers that are still in it.
func (p *dispatch) release(ctx context.Context) error {
	for room := range maps.Clone(p.frozen) {
		if err := p.releaseRoom(ctx, room); err != nil {
			return err
		}
	}
	return nil
}

func (p *dispatch) releaseRoom(ctx context.Context, room int64) error {
	rows, err := p.DB.ListHeld(ctx, room)
	if err != nil {
		return err
	}
	r, err := p.Rooms.RoomByNID(ctx, room)
	if matrix.HasCode(err, matrix.CodeNotFound) || err == nil && len(rows) == 0 {
		delete(p.frozen, room)
		return nil
	}
	if err != nil {
		return err
	}
	first, err := p.event(ctx, rows[0].Event)
	if err != nil {
		return err
	}
	if first != nil {
		if held, err := p.Rooms.Held(ctx, first); held || err != nil {
			return err
		}
	}
	in, err := p.Rooms.Servers(ctx, r)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	c.Guard(p.lease.Held(), storage.ReleaseHeld(room))
	for len(rows) > 0 {
		one, to := rows[0], []matrix.ServerName(nil)
		n := 0
		for ; n < len(rows) && rows[n].Event == one.Event && rows[n].Origin == one.Origin; n++ {
			if slices.Contains(in, rows[n].Dest) {
				to = append(to, rows[n].Dest)
			}
		}
		rows = rows[n:]
		if len(to) > 0 {
			live := 1 + c.Live(storage.Live{Kind: storage.KindOutbox, Room: room})
			c.Post(&storage.OutboxRow{At: storage.At{Live: live}, Event: one.Event, Room: room, Origin: one.Origin, Targets: storage.NewServerSet(to)})
		}
	}
	if err := p.DB.Commit(ctx, c); err != nil {
		return err
	}
	delete(p.frozen, room)
	return nil
}

// loadHeld reads of which rooms something is held back.
func (p *dispatch) loadHeld(ctx context.Context) error {
	list, err := p.DB.ListHeldRooms(ctx)
	for _, room := range list {
		p.frozen[room] = true
	}
	return err
}
