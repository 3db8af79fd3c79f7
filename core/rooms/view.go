package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// View is a room's state at one moment: what readers see of it, or, within [Service.Compose], what the next event is
// built on. It never changes. A View given to a function must not be kept beyond it.
type View struct {
	s    *Service
	room *Room
	snap *snapshot
	// b is set under the room's mutex: events under way count.
	b *builder
}

// Current is the room's committed current state.
func (s *Service) Current(ctx context.Context, r *Room) (*View, error) {
	n, err := r.snapshotNow(ctx)
	if err != nil {
		return nil, err
	}
	return &View{s: s, room: r, snap: n}, nil
}

// CurrentVersion is the version of the committed current state. A room that is not in memory is read.
func (s *Service) CurrentVersion(ctx context.Context, r *Room) (Version, error) {
	n, err := r.snapshotNow(ctx)
	if err != nil {
		return Version{Branch: -1}, err
	}
	return n.current(), nil
}

// Room is the room.
func (v *View) Room() *Room { return v.room }

// Version is the version of state that the View shows.
func (v *View) Version() Version { return v.snap.current() }

// Depth is the greatest depth in the room, in our own counting.
func (v *View) Depth() int64 { return v.snap.depth }

// Heads are the events that nothing refers to yet.
func (v *View) Heads() []matrix.EventID {
	ids := make([]matrix.EventID, len(v.snap.heads))
	for i, h := range v.snap.heads {
		ids[i] = h.id
	}
	return ids
}

// Joined is the number of members, Invited that of users asked in.
func (v *View) Joined() int64 { return v.snap.joined }

// Invited is the number of users who are invited.
func (v *View) Invited() int64 { return v.snap.invited }

// Len is the number of keys that have a value.
func (v *View) Len() int { return v.snap.state.size() }

// NID is the number of the event that holds a key; 0 when none does.
func (v *View) NID(ctx context.Context, t matrix.StateTuple) (int64, error) {
	key, err := v.room.key(ctx, t)
	if err != nil || key == 0 {
		return 0, err
	}
	return v.snap.state.get(key), nil
}

// Stored is the event that holds a key; nil when none does.
func (v *View) Stored(ctx context.Context, t matrix.StateTuple) (*Stored, error) {
	nid, err := v.NID(ctx, t)
	if err != nil || nid == 0 {
		return nil, err
	}
	return v.event(ctx, nid)
}

// Get is the event that holds a key; nil when none does.
func (v *View) Get(ctx context.Context, t matrix.StateTuple) (*matrix.Event, error) {
	e, err := v.Stored(ctx, t)
	if e == nil || err != nil {
		return nil, err
	}
	return e.Event, nil
}

// event finds an event of the view's state.
func (v *View) event(ctx context.Context, nid int64) (*Stored, error) {
	if e := v.s.events.get(nid); e != nil {
		return e, nil
	}
	if v.b != nil {
		return v.b.event(ctx, nid)
	}
	return v.s.event(ctx, nid)
}

// underWay finds an event among the writes under way; mu is held.
func (r *Room) underWay(nid int64) *Stored {
	for i := len(r.pending) - 1; i >= 0; i-- {
		for _, e := range r.pending[i].stored {
			if e.Row.NID == nid {
				return e
			}
		}
	}
	return nil
}

// Each calls fn for every key with the number of its event, until fn returns false.
func (v *View) Each(fn func(key, event int64) bool) { v.snap.state.all(fn) }

// All reads all events of the state. It is for small rooms and rare occasions.
func (v *View) All(ctx context.Context) ([]*Stored, error) {
	nids := make([]int64, 0, v.Len())
	v.Each(func(_, event int64) bool { nids = append(nids, event); return true })
	return v.s.Events(ctx, nids)
}

// Membership is a user's membership; empty when there never was any.
func (v *View) Membership(ctx context.Context, u matrix.UserID) (string, error) {
	e, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.member", Key: string(u)})
	if e == nil || err != nil {
		return "", err
	}
	return e.Membership(), nil
}

// PowerLevels are the room's power levels; nil when there is no such event.
func (v *View) PowerLevels(ctx context.Context) (*matrix.PowerLevels, error) {
	e, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.power_levels"})
	if e == nil || err != nil {
		return nil, err
	}
	return e.PowerLevels()
}

// AuthState reads what the authorisation rules look at for an event of this shape.
func (v *View) AuthState(ctx context.Context, sender matrix.UserID, typ string, stateKey *string, content json.RawMessage) (authrules.State, error) {
	return v.authState(ctx, authrules.NeededAuthTypes(sender, typ, stateKey, content, v.room.version))
}

// authState reads the given keys and the create event.
func (v *View) authState(ctx context.Context, needed []matrix.StateTuple) (authEvents, error) {
	a := make(authEvents, 0, len(needed)+1)
	if v.room.version.RoomIDIsCreateHash {
		needed = append(needed, matrix.StateTuple{Type: "m.room.create"})
	}
	for _, t := range needed {
		e, err := v.Stored(ctx, t)
		if err != nil {
			return nil, err
		}
		if e != nil {
			a = append(a, e)
		}
	}
	return a, nil
}

// authEvents is a short piece of state.
type authEvents []*Stored

// Event implements authrules.State.
func (a authEvents) Event(t matrix.StateTuple) *matrix.Event {
	for _, e := range a {
		if e.Type == t.Type && *e.StateKey == t.Key {
			return e.unredacted()
		}
	}
	return nil
}

// absentKeys remembers (type, state key) pairs that are interned nowhere, so that asking for them costs no read.
type absentKeys struct {
	mu   sync.RWMutex
	keys map[matrix.StateTuple]struct{}
	// gen grows with every pair that came into use, so that an answer read before that is not remembered after it.
	gen int64
}

const absentLimit = 512

func (a *absentKeys) has(t matrix.StateTuple) (ok bool, gen int64) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	_, ok = a.keys[t]
	return ok, a.gen
}

func (a *absentKeys) add(t matrix.StateTuple, gen int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gen != gen {
		return
	}
	if a.keys == nil || len(a.keys) >= absentLimit {
		a.keys = map[matrix.StateTuple]struct{}{}
	}
	a.keys[t] = struct{}{}
}

func (a *absentKeys) remove(t matrix.StateTuple) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gen++
	delete(a.keys, t)
}

func (a *absentKeys) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gen++
	a.keys = nil
}

// key is the number of a (type, state key) pair; 0 when it is in use nowhere.
func (r *Room) key(ctx context.Context, t matrix.StateTuple) (int64, error) {
	known, gen := r.absent.has(t)
	if known {
		return 0, nil
	}
	nid, err := r.s.db.FindStateKeyNID(ctx, t)
	if errors.Is(err, storage.ErrNotFound) {
		r.absent.add(t, gen)
		return 0, nil
	}
	return nid, err
}
