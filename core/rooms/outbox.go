package rooms

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"rempart/internal/matrix"
	"rempart/storage"
)

// servers are the other servers in a room, by their joined members. It is immutable.
type servers struct {
	members map[matrix.ServerName]int
	set     *storage.ServerSet // their names; nil when there are none
	// ours are the servers of this installation, where there are several; all are the names of both kinds.
	ours map[matrix.ServerName]int
	all  *storage.ServerSet
	// judged is how the policy decided last.
	judged atomic.Pointer[verdict]
}

func newServers(members, ours map[matrix.ServerName]int) *servers {
	s := &servers{members: members, ours: ours, set: storage.NewServerSet(slices.Collect(maps.Keys(members)))}
	if s.all = s.set; len(ours) > 0 {
		s.all = storage.NewServerSet(slices.AppendSeq(slices.Collect(maps.Keys(members)), maps.Keys(ours)))
	}
	return s
}

// with counts members in and out.
func (s *servers) with(moved, ourMoved map[matrix.ServerName]int) *servers {
	if s == nil {
		s = newServers(nil, nil)
	}
	members, same := counted(s.members, moved)
	ours, sameOurs := counted(s.ours, ourMoved)
	if same && sameOurs {
		return &servers{members: members, set: s.set, ours: ours, all: s.all}
	}
	return newServers(members, ours)
}

// counted adds what moved; same says that those who have any members are the same as before.
func counted(members, moved map[matrix.ServerName]int) (now map[matrix.ServerName]int, same bool) {
	if len(moved) == 0 {
		return members, true
	}
	members, same = maps.Clone(members), true
	if members == nil {
		members = map[matrix.ServerName]int{}
	}
	for name, by := range moved {
		was := members[name]
		if members[name] = was + by; was+by <= 0 {
			delete(members, name)
		}
		same = same && (was > 0) == (was+by > 0)
	}
	return members, same
}

// loadServers reads which other servers are in a room.
func (s *Service) loadServers(ctx context.Context, room int64) (*servers, error) {
	members, err := s.db.ListRoomServers(ctx, room)
	ours := map[matrix.ServerName]int{}
	maps.DeleteFunc(members, func(name matrix.ServerName, n int) bool {
		if !s.isOurs(name) {
			return false
		}
		if s.opts.Border != nil {
			ours[name] = n
		}
		return true
	})
	return newServers(members, ours), err
}

// watchesServers reports whether it matters which servers are in a room.
func (s *Service) watchesServers() bool { return s.opts.Federated || s.opts.Border != nil }

// countServer lets the servers in the room follow a membership.
func (b *builder) countServer(user matrix.UserID, was, is storage.Membership) {
	by := 0
	if was == storage.MemberJoin {
		by--
	}
	if is == storage.MemberJoin {
		by++
	}
	if by == 0 || !b.s.watchesServers() {
		return
	}
	into := &b.moved
	if b.s.isOurs(user.Server()) {
		if into = &b.ourMoved; b.s.opts.Border == nil {
			return
		}
	}
	if *into == nil {
		*into = map[matrix.ServerName]int{}
	}
	(*into)[user.Server()] += by
}

// countServers ends what countServer began. Why at once: a join from outside brings thousands of members.
func (b *builder) countServers() {
	if b.moved != nil || b.ourMoved != nil {
		b.snap.servers = b.snap.servers.with(b.moved, b.ourMoved)
		b.moved, b.ourMoved = nil, nil
	}
}

// introduce lets the device lists of our users who came into a room with other servers count as changed.
// Why: those servers may not have kept them until now. Spec: server-server-api/#device-management
func (b *builder) introduce() {
	arrived := b.arrived
	b.arrived = nil
	if !b.s.opts.Federated || b.snap.servers == nil || b.snap.servers.set == nil {
		return
	}
	for _, user := range arrived {
		live := b.change.Live(storage.Live{Kind: storage.KindDeviceList, User: user})
		b.change.Add(&storage.DeviceListRow{At: storage.At{Live: live + 1}, User: user})
	}
}

// post lets the servers that are in the room before an event hear of it: of ours, and of those that came through us.
func (b *builder) post(e *Stored) {
	if !b.s.opts.Federated || !e.Has(storage.FlagLocal) && !b.relay {
		return
	}
	row := &storage.OutboxRow{At: storage.At{Live: e.Row.Live}, Event: e.Row.NID, Room: b.r.nid, Origin: e.Sender.Server()}
	if b.snap.servers != nil {
		row.Targets = b.snap.servers.all
	}
	row.Extra = b.s.aside(e)
	if row.Extra == "" && (row.Targets == nil || slices.Equal(row.Targets.Names(), []matrix.ServerName{row.Origin})) {
		return
	}
	if !b.s.isOurs(row.Origin) {
		row.Origin = b.s.relayer(b.r.id)
	}
	b.change.Post(row)
	b.posted, e.posted = row.Targets, true
}

// showHeads tells servers that have come into the room by an event of the heads that it does not follow. Why: who said them did not know yet
// that these servers would be there, and an event that names them may be long in coming. What other servers said is told to who came
// through us; else they tell it themselves.
func (b *builder) showHeads(ctx context.Context, fresh *storage.ServerSet, own *Stored) error {
	at := 0
	for i, h := range b.snap.heads {
		if h.nid == own.Row.NID || slices.Contains(own.Row.Prev, h.nid) {
			continue
		}
		e, err := b.event(ctx, h.nid)
		if err != nil {
			return err
		}
		if !e.Has(storage.FlagLocal) && !b.relay {
			continue
		}
		if at == 0 {
			at = 1 + b.change.Live(storage.Live{Kind: storage.KindOutbox, Room: b.r.nid})
		}
		row := &storage.OutboxRow{At: storage.At{Live: at}, Part: int64(i), Event: h.nid, Room: b.r.nid, Origin: e.Sender.Server(), Targets: fresh}
		if !b.s.isOurs(row.Origin) {
			row.Origin = b.s.relayer(b.r.id)
		}
		b.change.Post(row)
	}
	return nil
}

// aside is the other server of somebody who is shut out, and whose server may not be in the room: one whose invitation
// or knock is taken back must hear of it too. Another server of this installation hears of its users' invitations in the same way.
func (s *Service) aside(e *Stored) matrix.ServerName {
	if e.Type != "m.room.member" || !e.IsState() {
		return ""
	}
	server, within := matrix.UserID(*e.StateKey).Server(), false
	if server == e.Sender.Server() {
		return ""
	}
	if s.isOurs(server) {
		if within = s.opts.Border.Divides(e.Sender.Server(), server); !within {
			return ""
		}
	}
	switch m := e.Membership(); {
	case m == "leave" || m == "ban" || m == "invite" && within:
		return server
	}
	return ""
}

// relayer is which of our servers passes on the events of others in a room.
func (s *Service) relayer(room matrix.RoomID) matrix.ServerName {
	if server := room.Server(); server != "" && s.isOurs(server) {
		return server
	}
	return s.opts.Server
}

// Wire is the event as servers send it to one another: as it came, or in its redacted form.
func (e *Stored) Wire(redacted bool) []byte {
	if e.full != nil && !redacted {
		return e.full.JSON
	}
	return e.JSON
}

// Posted reports whether other servers are to hear of the event from us.
func (e *Stored) Posted() bool { return e.posted }

// Servers are the other servers in a room.
func (s *Service) Servers(ctx context.Context, r *Room) ([]matrix.ServerName, error) {
	found, err := s.serversOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return found.set.Names(), nil
}

// ServersOf are the other servers with whose users a user shares a room.
func (s *Service) ServersOf(ctx context.Context, user int64) ([]matrix.ServerName, error) {
	return s.serversAround(ctx, user, s.Servers)
}

// serversAround are the servers that of names for the rooms in which a user is.
func (s *Service) serversAround(ctx context.Context, user int64, of func(context.Context, *Room) ([]matrix.ServerName, error)) ([]matrix.ServerName, error) {
	rows, err := s.db.ListMembershipsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	all := map[matrix.ServerName]bool{}
	for _, m := range rows {
		if m.Membership != storage.MemberJoin {
			continue
		}
		r, err := s.RoomByNID(ctx, m.Room)
		if err != nil {
			return nil, err
		}
		names, err := of(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			all[n] = true
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// readyServers reads which other servers are in the room for those who write to it.
func (r *Room) readyServers(ctx context.Context, n *snapshot) (err error) {
	if r.s.watchesServers() && n.servers == nil {
		n.servers, err = r.s.loadServers(ctx, r.nid)
	}
	return err
}

// changesMembers reports whether a row of state may be about a member.
func (s *Service) changesMembers(row storage.StateRow) bool {
	t, err := s.db.GetStateTuple(context.Background(), row.StateKey)
	return err != nil || t.Type == "m.room.member"
}
