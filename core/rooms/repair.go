package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of a repair.
const (
	repairServers = 5
	repairTime    = time.Minute // for each server
	repairSenders = 10
)

// Repair is what became of one.
type Repair struct {
	// Asked are the servers that were asked for the room's state.
	Asked []Asked `json:"asked"`
	// Changed are the pieces of current state that are other ones now.
	Changed []Repaired `json:"changed"`
	// Event stands for the new state in the graph; "" when nothing changed.
	Event matrix.EventID `json:"event_id,omitempty"`
}

// Asked is a server that was asked for a room's state.
type Asked struct {
	Server matrix.ServerName `json:"server"`
	// At is the event after which its state was asked for.
	At    matrix.EventID `json:"at,omitempty"`
	Error string         `json:"error,omitempty"`
}

// Repaired is a piece of state that was set anew.
type Repaired struct {
	Type     string         `json:"type"`
	StateKey string         `json:"state_key"`
	Was      matrix.EventID `json:"was,omitempty"`
	Now      matrix.EventID `json:"now,omitempty"`
}

// RepairRequest says how a room's state is repaired.
type RepairRequest struct {
	// Alone asks no other server: the state is computed from the graph.
	Alone bool
	// Servers are asked; none: those with the most members in the room.
	Servers []matrix.ServerName
	// Adopt takes the state of the one server that is named as it is, in place of all that the graph says.
	Adopt bool
}

// RepairState sets a room's current state anew: to the resolution of the states after all heads, which is computed from the graph, and of
// the states that other servers in the room tell, each event of which is checked as any other is. Whatever they tell, no event counts
// that the room's rules do not allow: a liar can bring nothing about that he could not bring about by an event. An event of one of
// our users seals the new state. Why Adopt too: where it is the resolution itself that puts state back, resolving once more does so again.
func (s *Service) RepairState(ctx context.Context, r *Room, q RepairRequest) (*Repair, error) {
	out := &Repair{Asked: []Asked{}, Changed: []Repaired{}}
	if q.Adopt && (len(q.Servers) != 1 || q.Alone || s.opts.Peers == nil) {
		return out, matrix.InvalidParam("To adopt a state, name the one server whose state it is.")
	}
	if !q.Adopt {
		if err := s.repairWith(ctx, r, nil, false, out); err != nil || q.Alone || s.opts.Peers == nil {
			return out, err
		}
	}
	servers := q.Servers
	if len(servers) == 0 {
		in, err := s.serversOf(ctx, r)
		if err != nil {
			return out, err
		}
		servers = in.byMembers()
	}
	for _, to := range servers[:min(len(servers), repairServers)] {
		told, at, err := s.toldBy(ctx, r, to)
		if err == nil {
			err = s.repairWith(ctx, r, told, q.Adopt, out)
		}
		asked := Asked{Server: to, At: at}
		if err != nil {
			asked.Error = err.Error()
		}
		out.Asked = append(out.Asked, asked)
	}
	return out, nil
}

// toldBy asks a server for the state after one of the room's heads, and fetches what of it is not known here.
func (s *Service) toldBy(ctx context.Context, r *Room, to matrix.ServerName) (state []matrix.EventID, at matrix.EventID, err error) {
	ctx, cancel := context.WithTimeout(ctx, repairTime)
	defer cancel()
	from, err := s.asker(ctx, r)
	if err != nil {
		return nil, "", err
	}
	err = errNothingFetched
	for _, h := range s.headsOf(ctx, r) {
		var auth []matrix.EventID
		if state, auth, err = s.opts.Peers.StateIDs(ctx, from, to, r.id, h.id); err != nil {
			continue
		}
		head, err := s.event(ctx, h.nid)
		if err != nil {
			return nil, h.id, err
		}
		missing, err := s.missingOf(ctx, r, append(slices.Clone(auth), state...))
		if err != nil {
			return nil, h.id, err
		}
		if err := s.fetchState(ctx, r, from, head.Event, missing, Arrival{From: to}); err != nil {
			return nil, h.id, err
		}
		if missing, err = s.missingOf(ctx, r, state); err != nil {
			return nil, h.id, err
		}
		state = slices.DeleteFunc(state, func(id matrix.EventID) bool { return slices.Contains(missing, id) })
		if head.IsState() {
			state = append(state, head.ID) // Why: what is told is the state before it
		}
		return state, h.id, nil
	}
	return nil, "", err
}

// repairWith resolves the states after the heads, with a state that was told, and makes that the current state. A user of ours who may
// sends an event on top.
func (s *Service) repairWith(ctx context.Context, r *Room, told []matrix.EventID, adopt bool, out *Repair) error {
	users, err := s.db.ListLocalMembers(ctx, r.nid, storage.MemberJoin)
	if err != nil {
		return err
	}
	err = errAlone
	for _, user := range users[:min(len(users), repairSenders)] {
		var made *Stored
		var changed []Repaired
		err = s.retried(ctx, r, &needs{events: 2, users: []matrix.UserID{user}}, func(ctx context.Context, b *builder) (err error) {
			made = nil
			if changed, err = b.repair(ctx, told, adopt); err != nil || len(changed) == 0 {
				return err
			}
			if err := b.drafts(ctx, []Draft{{Sender: user, Type: "org.matrix.dummy_event", Content: json.RawMessage("{}")}}); err != nil {
				return err
			}
			made = b.stored[len(b.stored)-1]
			b.forgetResets()
			return nil
		})
		var refused *matrix.Error
		if errors.As(err, &refused) && refused.Code == matrix.CodeForbidden {
			continue // another one may
		}
		if err == nil && made != nil {
			out.Changed, out.Event = append(out.Changed, changed...), made.ID
		}
		return err
	}
	return err
}

// repair moves the current state to the resolution and says what that changes.
func (b *builder) repair(ctx context.Context, told []matrix.EventID, adopt bool) ([]Repaired, error) {
	if err := b.drained(); err != nil {
		return nil, err
	}
	versions := versionsAfter(b.snap.heads)
	if told != nil {
		phantom := &Stored{}
		phantom.Row.NID = b.need.stock[b.used]
		b.used++
		v, err := b.foreignState(ctx, phantom, told)
		if err != nil {
			return nil, err
		}
		if adopt {
			versions = nil
		}
		versions = append(versions, v)
	}
	m, err := b.merge(ctx, versions, b.snap.current())
	if err != nil {
		return nil, err
	}
	changes := m.changesFrom(len(versions))
	out := make([]Repaired, len(changes))
	for i := range changes {
		c := &changes[i]
		if c.tuple, err = b.s.db.GetStateTuple(ctx, c.key); err != nil {
			return nil, err
		}
		out[i] = Repaired{c.tuple.Type, c.tuple.Key, b.idOf(ctx, c.old), b.idOf(ctx, c.new)}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	next := *b.snap
	b.snap = &next
	nobody := &Stored{}
	nobody.Row.NID = -1 // no event brings these changes
	return out, b.changeCurrent(ctx, changes, nobody)
}
