package rooms

import (
	"cmp"
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Condition is how a room's graph stands, for operators.
type Condition struct {
	RoomID  matrix.RoomID `json:"room_id"`
	Version string        `json:"room_version"`
	// Servers are those with members in the room, those with the most first.
	Servers []Resident `json:"servers"`
	// Heads are the events that no other one follows yet, the newest first.
	Heads []Extremity `json:"heads"`
	Depth int64       `json:"depth"`
	// Forks counts the pieces of state besides the current one that forks of the graph left behind.
	Forks int64 `json:"forks"`
	// State counts the pieces of current state, of which Joined and Invited are people.
	State   int   `json:"state_events"`
	Joined  int64 `json:"joined"`
	Invited int64 `json:"invited"`
	// Lifetime is for how many milliseconds messages are kept; 0: for ever.
	Lifetime int64 `json:"message_lifetime_ms"`
	// Resets are the newest state resets.
	Resets []Reset `json:"resets"`
}

// Resident is a server with members in a room.
type Resident struct {
	Server  matrix.ServerName `json:"server"`
	Members int               `json:"members"`
	Ours    bool              `json:"ours"`
}

// Extremity is a head of a room.
type Extremity struct {
	ID     matrix.EventID `json:"event_id"`
	Type   string         `json:"type"`
	Sender matrix.UserID  `json:"sender"`
	Depth  int64          `json:"depth"`
	TS     int64          `json:"origin_server_ts"`
}

// listedResets is how many resets are shown.
const listedResets = 20

// Condition reads how a room's graph stands.
func (s *Service) Condition(ctx context.Context, r *Room) (*Condition, error) {
	n, err := r.snapshotNow(ctx)
	if err != nil {
		return nil, err
	}
	c := &Condition{RoomID: r.id, Version: r.version.ID, Depth: n.depth, State: n.state.size(), Joined: n.joined, Invited: n.invited,
		Servers: []Resident{}, Heads: []Extremity{}, Resets: []Reset{}}
	members, err := s.db.ListRoomServers(ctx, r.nid)
	if err != nil {
		return nil, err
	}
	for name, count := range members {
		c.Servers = append(c.Servers, Resident{name, count, s.isOurs(name)})
	}
	slices.SortFunc(c.Servers, func(a, b Resident) int {
		return cmp.Or(cmp.Compare(b.Members, a.Members), cmp.Compare(a.Server, b.Server))
	})
	for _, h := range n.heads {
		e, err := s.event(ctx, h.nid)
		if err != nil {
			return nil, err
		}
		c.Heads = append(c.Heads, Extremity{e.ID, e.Type, e.Sender, h.depth, e.OriginServerTS})
	}
	slices.SortFunc(c.Heads, func(a, b Extremity) int { return cmp.Compare(b.Depth, a.Depth) })
	if c.Forks, err = s.db.CountBranches(ctx, r.nid); err != nil {
		return nil, err
	}
	if c.Lifetime, err = s.Lifetime(ctx, r); err != nil {
		return nil, err
	}
	c.Resets, err = s.resetsOf(ctx, r)
	return c, err
}

func (s *Service) resetsOf(ctx context.Context, r *Room) ([]Reset, error) {
	rows, err := s.db.ListResets(ctx, r.nid, listedResets)
	out := make([]Reset, 0, len(rows))
	for _, row := range rows {
		t, err := s.db.GetStateTuple(ctx, row.StateKey)
		if err != nil {
			return nil, err
		}
		reset := Reset{Type: t.Type, StateKey: t.Key, TS: row.TS}
		for nid, id := range map[int64]*matrix.EventID{row.Was: &reset.Was, row.Now: &reset.Now, row.Event: &reset.Cause} {
			if e, err := s.event(ctx, nid); nid != 0 && err == nil { // Why no error: it may have been purged
				*id = e.ID
			}
		}
		out = append(out, reset)
	}
	return out, err
}

// forgetResets takes alarms back that were dealt with.
func (b *builder) forgetResets() { b.change.Guard(storage.DeleteResets(b.r.nid)) }
