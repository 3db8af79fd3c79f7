package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of the directory's memory.
const (
	// listingsBudget is how many bytes of listings are kept; what is beyond is read each time.
	listingsBudget = 8 << 20
	// listingsAtOnce is how many rooms are looked at together.
	listingsAtOnce = 256
)

// listings keeps what published rooms look like, so that a page of the directory costs what has changed since the last one.
type listings struct {
	db      *storage.DB
	reading chan struct{} // taken by who reads rooms anew: of many who ask at once, one does
	mu      sync.Mutex
	known   map[int64]*listing
	used    int
}

// listing is a room as the directory shows it, as of a version of its row or later.
// Why not by the View of the room: thousands of rooms in the caches would put out of them what people use.
type listing struct {
	PublicRoom
	version int64
	maker   matrix.ServerName // the server of who made it
}

// bytes is about what a listing takes in memory.
func (l *listing) bytes() int {
	return 400 + len(l.RoomID) + len(l.Name) + len(l.Topic) + len(l.AvatarURL) + len(l.CanonicalAlias)
}

func newListings(db *storage.DB) *listings {
	return &listings{db: db, reading: make(chan struct{}, 1), known: map[int64]*listing{}}
}

// of describes rooms, in their order.
func (d *listings) of(ctx context.Context, rooms []storage.DirectoryRoom) ([]*listing, error) {
	out := make([]*listing, len(rooms))
	if d.fill(out, rooms) == 0 {
		return out, nil
	}
	select {
	case d.reading <- struct{}{}:
		defer func() { <-d.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.fill(out, rooms) == 0 { // somebody else has read them
		return out, nil
	}
	var changed []storage.DirectoryRoom
	for i, r := range rooms {
		if out[i] == nil {
			changed = append(changed, r)
		}
	}
	fresh, err := d.read(ctx, changed)
	if err != nil {
		return nil, err
	}
	for i, r := range rooms {
		if out[i] == nil {
			out[i] = fresh[r.NID]
		}
	}
	d.keep(fresh)
	return out, nil
}

// fill puts what is known of rooms into its places and tells how many are missing.
func (d *listings) fill(out []*listing, rooms []storage.DirectoryRoom) (missing int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range rooms {
		if l := d.known[r.NID]; l != nil && l.version == r.Version {
			out[i] = l
		} else {
			missing++
		}
	}
	return missing
}

func (d *listings) keep(fresh map[int64]*listing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for nid, l := range fresh {
		if old := d.known[nid]; old != nil {
			d.used -= old.bytes()
			delete(d.known, nid)
		}
		if d.used+l.bytes() <= listingsBudget {
			d.known[nid] = l
			d.used += l.bytes()
		}
	}
}

// forget drops what is no longer published, when room is scarce.
func (d *listings) forget(published []storage.DirectoryRoom) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used < listingsBudget/2 {
		return
	}
	kept := make(map[int64]*listing, len(published))
	d.used = 0
	for _, r := range published {
		if l := d.known[r.NID]; l != nil {
			kept[r.NID] = l
			d.used += l.bytes()
		}
	}
	d.known = kept
}

// read reads rooms from storage. Why it may be newer than their versions, and never older: those were read before.
func (d *listings) read(ctx context.Context, rooms []storage.DirectoryRoom) (map[int64]*listing, error) {
	out := make(map[int64]*listing, len(rooms))
	nids := make([]int64, len(rooms))
	for i, r := range rooms {
		nids[i] = r.NID
		out[r.NID] = &listing{PublicRoom: PublicRoom{RoomID: r.ID, JoinRule: defaultJoinRule}, version: r.Version}
	}
	sizes, err := d.db.CountMembersIn(ctx, nids)
	if err != nil {
		return nil, err
	}
	for nid, l := range out {
		l.JoinedMembers = sizes[nid].Joined
	}
	types := map[int64]string{}
	var state []int64
	for _, typ := range listedState() {
		key, err := d.db.FindStateKeyNID(ctx, matrix.StateTuple{Type: typ})
		if errors.Is(err, storage.ErrNotFound) {
			continue // no room has it
		}
		if err != nil {
			return nil, err
		}
		types[key] = typ
		holders, err := d.db.ListKeyHolders(ctx, nids, key)
		if err != nil {
			return nil, err
		}
		for _, event := range holders {
			if event != 0 {
				state = append(state, event)
			}
		}
	}
	err = d.db.EachEvent(ctx, state, func(e *storage.EventRecord) error {
		out[e.EventRow.Room].take(types[e.StateKey], e)
		return nil
	})
	return out, err
}

// take takes from a stored piece of state what the directory shows of it.
func (l *listing) take(typ string, e *storage.EventRecord) {
	text := e.JSON
	if e.RedactedBy != 0 {
		text = e.Redacted
	}
	var event struct {
		Sender  matrix.UserID   `json:"sender"`
		Content json.RawMessage `json:"content"`
	}
	if matrix.Decode(text, &event) != nil {
		return
	}
	if typ == "m.room.create" {
		l.maker = event.Sender.Server()
	}
	l.show(typ, event.Content)
}
