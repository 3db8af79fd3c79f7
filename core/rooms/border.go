package rooms

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"rempart/core/border"
	"rempart/core/ledger"
	"rempart/internal/matrix"
	"rempart/storage"
)

// overBorder judges a local event of a room in which other servers of this installation take part: they hear of it as they would of one
// that is sent to them. Why also those of one installation are kept to the room's access list: each of them is a server of its own, and
// the list names them one by one. Whoever wants to go may go, whoever is shown out goes, and the room may be closed to a server or given up. Spec: server-server-api/#server-access-control-lists-acls
func (b *builder) overBorder(ctx context.Context, d *Draft) error {
	gate := b.s.opts.Border
	if gate == nil {
		return nil
	}
	own, both := d.Sender.Server(), false
	var others []matrix.ServerName
	if b.snap.servers != nil {
		others = slices.Sorted(maps.Keys(b.snap.servers.ours))
	}
	if d.StateKey != nil && (d.Type == "m.room.server_acl" || d.Type == "m.room.tombstone") {
		return nil
	}
	if d.Type == "m.room.member" && d.StateKey != nil {
		m := membershipTold(d.Content)
		if m == "leave" || m == "ban" {
			return nil
		}
		both = true
		if m == "invite" {
			others = append(others, matrix.UserID(*d.StateKey).Server())
		}
	}
	others = slices.DeleteFunc(others, func(name matrix.ServerName) bool { return !gate.Divides(own, name) })
	if len(others) == 0 {
		return nil
	}
	if err := b.onList(ctx, own); err != nil {
		return err
	}
	for _, name := range others {
		if err := gate.Admit(ctx, own, name, border.Events); err != nil {
			return err
		}
		if !both {
			continue
		}
		if err := gate.Admit(ctx, name, own, border.Events); err != nil {
			return err
		}
	}
	return nil
}

// onList refuses a server that the room's access list keeps out.
func (b *builder) onList(ctx context.Context, server matrix.ServerName) error {
	acl, err := b.view().Get(ctx, matrix.StateTuple{Type: "m.room.server_acl"})
	if err != nil || acl == nil || readACL(acl.Content).admits(server) {
		return err
	}
	return matrix.Forbidden("Your server is kept out of this room by its access list.")
}

// countersigned adds the signatures that other servers of this installation give in the exchange that a membership stands for: of who is
// invited, and of who lets somebody into a restricted room. Spec: server-server-api/#inviting-to-a-room, #restricted-rooms
func (b *builder) countersigned(e *matrix.Event) (*matrix.Event, error) {
	if e.Type != "m.room.member" || e.StateKey == nil {
		return e, nil
	}
	m, err := e.MembershipContent()
	if err != nil {
		return e, nil // the authorisation rules refuse it with their own words
	}
	var other matrix.ServerName
	switch {
	case m.Membership == "invite":
		other = matrix.UserID(*e.StateKey).Server()
	case m.Membership == "join" && b.r.version.RestrictedJoins:
		other = m.AuthorisedVia.Server()
	}
	if other == "" || other == e.Sender.Server() {
		return e, nil
	}
	key, ours := b.s.opts.Keys.SigningKey(other)
	if !ours {
		return e, nil
	}
	return e.Sign(key)
}

// Within are the servers of this installation in a room, besides one; none where there is one only.
func (s *Service) Within(ctx context.Context, r *Room, besides matrix.ServerName) ([]matrix.ServerName, error) {
	if s.opts.Border == nil {
		return nil, nil
	}
	found, err := s.serversOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(found.ours)), func(n matrix.ServerName) bool { return n == besides }), nil
}

// WithinOf are the servers of this installation with whose users a user shares a room, besides his own.
func (s *Service) WithinOf(ctx context.Context, user int64, own matrix.ServerName) ([]matrix.ServerName, error) {
	if s.opts.Border == nil {
		return nil, nil
	}
	return s.serversAround(ctx, user, func(ctx context.Context, r *Room) ([]matrix.ServerName, error) { return s.Within(ctx, r, own) })
}

// AllServersOf are all servers with whose users a user shares a room, of this installation too.
func (s *Service) AllServersOf(ctx context.Context, user int64) ([]matrix.ServerName, error) {
	return s.serversAround(ctx, user, func(ctx context.Context, r *Room) ([]matrix.ServerName, error) {
		others, err := s.Servers(ctx, r)
		if err != nil {
			return nil, err
		}
		within, err := s.Within(ctx, r, "")
		return slices.Concat(others, within), err
	})
}

// mayList asks whether one of our servers may read the directory of another, which it might only as another server might.
func (s *Service) mayList(ctx context.Context, q *DirectoryRequest) error {
	if s.opts.Border == nil || q.Asker == "" {
		return nil
	}
	return s.opts.Border.Ask(ctx, q.Asker, s.directoryOf(q), border.Directory, "publicRooms")
}

// directoryOf is the server whose directory a request asks for.
func (s *Service) directoryOf(q *DirectoryRequest) matrix.ServerName {
	return cmp.Or(q.Server, q.Asker, s.opts.Server)
}

// ownListing reports whether a published room is in the directory that is asked for, where this installation has several servers.
func (s *Service) ownListing(ctx context.Context, q *DirectoryRequest, nid int64, l *listing) (bool, error) {
	if s.opts.Border == nil {
		return true, nil
	}
	return s.owns(ctx, s.directoryOf(q), nid, l.maker)
}

// owns reports whether a room of a maker belongs to a server of ours: that which made it has it alone; one that was made elsewhere belongs to
// those of our servers that are in it.
func (s *Service) owns(ctx context.Context, server matrix.ServerName, nid int64, maker matrix.ServerName) (bool, error) {
	if s.isOurs(maker) {
		return maker == server, nil
	}
	r, err := s.RoomByNID(ctx, nid)
	if err != nil {
		return false, err
	}
	in, err := s.serversOf(ctx, r)
	return err == nil && in.ours[server] > 0, err
}

// belongs reports whether a room belongs to a server of ours, by who made it.
func (s *Service) belongs(ctx context.Context, r *Room, server matrix.ServerName) (bool, error) {
	v, err := s.Current(ctx, r)
	if err != nil {
		return false, err
	}
	create, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.create"})
	if err != nil {
		return false, err
	}
	var maker matrix.ServerName
	if create != nil {
		maker = create.Sender.Server()
	}
	return s.owns(ctx, server, r.nid, maker)
}

// near reports whether a room is one of a server's own: it made it, or is in it. What is readable for the whole world is so for other
// servers of this installation by the ways of federation only, as for all others.
func (s *Service) near(ctx context.Context, room *Room, server matrix.ServerName) (bool, error) {
	if s.opts.Border == nil || !s.isOurs(server) {
		return true, nil
	}
	in, err := s.serversOf(ctx, room)
	if err != nil || in.ours[server] > 0 {
		return err == nil, err
	}
	return s.belongs(ctx, room, server)
}

// shownTo reports whether a user may know of a room that anybody may know of: its server asks one that is in it.
func (s *Service) shownTo(ctx context.Context, room *Room, user matrix.UserID) (bool, error) {
	server := user.Server()
	if is, err := s.near(ctx, room, server); is || err != nil {
		return is, err
	}
	if m, err := s.standingOf(ctx, room, user); err != nil || m.Membership == storage.MemberInvite || m.Membership == storage.MemberKnock {
		return err == nil, err
	}
	in, err := s.serversOf(ctx, room)
	if err != nil {
		return false, err
	}
	for _, other := range slices.Sorted(maps.Keys(in.ours)) {
		if err := s.opts.Border.Ask(ctx, server, other, border.Directory, "hierarchy", ledger.Room(room.id)); err == nil {
			return true, nil
		}
	}
	return false, nil
}
