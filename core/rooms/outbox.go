package rooms

import (
	"context"
	"maps"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// servers are the other servers in a room, by their joined members. It is immutable.
type servers struct {
	members map[matrix.ServerName]int
	set     *storage.ServerSet // their names; nil when there are none
}

func newServers(members map[matrix.ServerName]int) *servers {
	return &servers{members: members, set: storage.NewServerSet(slices.Collect(maps.Keys(members)))}
}

// with counts members in and out.
func (s *servers) with(moved map[matrix.ServerName]int) *servers {
	members, same := map[matrix.ServerName]int{}, true
	if s != nil {
		members = maps.Clone(s.members)
	}
	for name, by := range moved {
		was := members[name]
		if members[name] = was + by; was+by <= 0 {
			delete(members, name)
		}
		same = same && (was > 0) == (was+by > 0)
	}
	if same && s != nil {
		return &servers{members: members, set: s.set}
	}
	return newServers(members)
}

// loadServers reads which other servers are in a room.
func (s *Service) loadServers(ctx context.Context, room int64) (*servers, error) {
	members, err := s.db.ListRoomServers(ctx, room)
	maps.DeleteFunc(members, func(name matrix.ServerName, _ int) bool { return s.isOurs(name) })
	return newServers(members), err
}

// countServer lets the servers in the room follow a membership.
func (b *builder) countServer(user matrix.UserID, was, is storage.Membership) {
	by := 0
	if was == storage.MemberJoin {
		by--
	}
	if is == storage.MemberJoin {
		by++
	}
	if by == 0 || !b.s.opts.Federated || b.s.isOurs(user.Server()) {
		return
	}
	if b.moved == nil {
		b.moved = map[matrix.ServerName]int{}
	}
	b.moved[user.Server()] += by
}

// countServers ends what countServer began. Why at once: a join from outside brings thousands of members.
func (b *builder) countServers() {
	if b.moved != nil {
		b.snap.servers, b.moved = b.snap.servers.with(b.moved), nil
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
		row.Targets = b.snap.servers.set
	}
	row.Extra = b.s.departing(e)
	if row.Targets == nil && row.Extra == "" {
		return
	}
	if !b.s.isOurs(row.Origin) {
		row.Origin = b.s.relayer(b.r.id)
	}
	b.change.Post(row)
	b.posted, e.posted = row.Targets, true
}

// departing is the other server of somebody who is shut out, and whose server may not be in the room: one whose invitation
// or knock is taken back must hear of it too.
func (s *Service) departing(e *Stored) matrix.ServerName {
	if e.Type != "m.room.member" || !e.IsState() || e.Membership() != "leave" && e.Membership() != "ban" {
		return ""
	}
	server := matrix.UserID(*e.StateKey).Server()
	if s.isOurs(server) || server == e.Sender.Server() {
		return ""
	}
	return server
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
		names, err := s.Servers(ctx, r)
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
	if r.s.opts.Federated && n.servers == nil {
		n.servers, err = r.s.loadServers(ctx, r.nid)
	}
	return err
}

// changesMembers reports whether a row of state may be about a member.
func (s *Service) changesMembers(row storage.StateRow) bool {
	t, err := s.db.GetStateTuple(context.Background(), row.StateKey)
	return err != nil || t.Type == "m.room.member"
}
