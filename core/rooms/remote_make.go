package rooms

import (
	"context"
	"encoding/json"
	"slices"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// visited finds a room for a server that asks to change who is in it: one that this installation is in and whose access
// list lets the server take part.
func (s *Service) visited(ctx context.Context, origin matrix.ServerName, id matrix.RoomID) (*Room, error) {
	if s.opts.Peers == nil {
		return nil, errAlone
	}
	r, here, err := s.standsIn(ctx, id)
	if err != nil {
		return nil, err
	}
	if r == nil || !here {
		return nil, matrix.NotFound("This server is not in the room.")
	}
	return r, s.admitsTo(ctx, r, origin)
}

// known finds a room of which this installation has a state, whether or not it is in it now.
func (s *Service) known(ctx context.Context, id matrix.RoomID) (*Room, error) {
	if s.opts.Peers == nil {
		return nil, errAlone
	}
	r, _, err := s.standsIn(ctx, id)
	if err == nil && r == nil {
		err = matrix.NotFound("This server is not in the room.")
	}
	return r, err
}

// admitsTo refuses a server that a room's access list keeps out.
func (s *Service) admitsTo(ctx context.Context, r *Room, origin matrix.ServerName) error {
	ok, err := s.Admits(ctx, r, origin)
	if err == nil && !ok {
		err = matrix.Forbidden("Your server is kept out of this room by its access list.")
	}
	return err
}

// MakeMembership proposes a membership event to another server: act is "join", "leave" or "knock", versions are the
// room versions that it knows. It gives the room's version and the event without hashes and signatures.
// Spec: server-server-api/#joining-rooms
func (s *Service) MakeMembership(ctx context.Context, origin matrix.ServerName, act string, id matrix.RoomID, user matrix.UserID,
	versions []string) (string, json.RawMessage, error) {
	if user.Server() != origin {
		return "", nil, matrix.Forbidden("The user is not one of your server.")
	}
	r, err := s.visited(ctx, origin, id)
	if err != nil {
		return "", nil, err
	}
	if act != "leave" && !slices.Contains(versions, r.version.ID) {
		return "", nil, matrix.IncompatibleRoomVersion(r.version.ID)
	}
	if act != "leave" {
		if err := s.letIn(ctx, r, core.ActJoin, origin); err != nil {
			return "", nil, err
		}
	}
	if act == "knock" && !r.version.KnockAllowed {
		return "", nil, matrix.Forbidden("This room's version does not know knocking.")
	}
	v, err := s.Current(ctx, r)
	if err != nil {
		return "", nil, err
	}
	content := map[string]any{"membership": act}
	if act == "join" {
		now, err := v.Get(ctx, memberTuple(user))
		if err != nil {
			return "", nil, err
		}
		if membershipOf(now) != "join" {
			who, err := s.authoriserOf(ctx, r, user, v, now)
			if err != nil {
				return "", nil, err
			}
			if who != "" {
				content["join_authorised_via_users_server"] = who
			}
		}
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return "", nil, err
	}
	key := string(user)
	e, err := s.propose(ctx, v, Draft{Sender: user, Type: "m.room.member", StateKey: &key, Content: raw})
	if err != nil {
		return "", nil, err
	}
	event, err := bare(e)
	return r.version.ID, event, err
}

// maxDepth is the greatest that an event may say. Spec: rooms/v6/#canonical-json
const maxDepth = 1<<53 - 1

// propose builds an event on the room's committed heads and authorises it, without writing it. Who is not ours gets it signed by any
// key of ours, which means nothing.
func (s *Service) propose(ctx context.Context, v *View, d Draft) (*matrix.Event, error) {
	r := v.room
	auth, err := v.authState(ctx, authrules.NeededAuthTypes(d.Sender, d.Type, d.StateKey, d.Content, r.version))
	if err != nil {
		return nil, err
	}
	key, ok := s.opts.Keys.SigningKey(d.Sender.Server())
	if !ok {
		if key, ok = s.anyKey(ctx, r); !ok {
			return nil, matrix.NotFound("This server is not in the room.")
		}
	}
	p := matrix.Proto{RoomID: r.id, Sender: d.Sender, Type: d.Type, StateKey: d.StateKey, Content: d.Content, OriginServerTS: s.nowMS()}
	heads := slices.Clone(v.snap.heads)
	slices.SortFunc(heads, func(x, y head) int { return int(y.depth - x.depth) })
	hashes := map[matrix.EventID][]byte{}
	for _, h := range heads[:min(len(heads), maxPrev)] {
		p.PrevEvents, p.Depth = append(p.PrevEvents, h.id), max(p.Depth, min(h.depth+1, maxDepth))
		if r.version.RefsWithHashes() {
			e, err := s.event(ctx, h.nid)
			if err != nil {
				return nil, err
			}
			sum := e.ReferenceHash()
			hashes[e.ID] = sum[:]
		}
	}
	for _, a := range auth {
		if r.version.RoomIDIsCreateHash && a.Type == "m.room.create" {
			continue
		}
		sum := a.ReferenceHash()
		p.AuthEvents, hashes[a.ID] = append(p.AuthEvents, a.ID), sum[:]
	}
	p.RefHash = func(id matrix.EventID) []byte { return hashes[id] }
	e, err := r.version.Build(p, key)
	if err != nil {
		return nil, err
	}
	return e, authrules.Check(e, auth)
}

// anyKey is a signing key of a server of ours that is in the room.
func (s *Service) anyKey(ctx context.Context, r *Room) (matrix.SigningKey, bool) {
	name, err := s.asker(ctx, r)
	if err != nil {
		return matrix.SigningKey{}, false
	}
	return s.opts.Keys.SigningKey(name)
}

// bare is an event without what its sender's server adds.
func bare(e *matrix.Event) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := matrix.Decode(e.JSON, &fields); err != nil {
		return nil, err
	}
	delete(fields, "hashes")
	delete(fields, "signatures")
	delete(fields, "event_id")
	return json.Marshal(fields)
}

// Sent is what a server is told when the membership event it sent was taken in.
type Sent struct {
	Room *Room
	// Event is the event as it stands here, with our signature where the room asks for it.
	Event *Stored
	// Before is the version of state before the event.
	Before Version
}

// AcceptMembership takes in a membership event that another server made of a proposal. Wrong shape is 400, an event that
// the room does not allow 403. Spec: server-server-api/#joining-rooms
func (s *Service) AcceptMembership(ctx context.Context, origin matrix.ServerName, act string, id matrix.RoomID, event matrix.EventID,
	raw json.RawMessage) (*Sent, error) {
	r, err := s.visited(ctx, origin, id)
	if err != nil {
		return nil, err
	}
	e, err := r.version.ParseUntrusted(raw)
	if err != nil {
		return nil, err
	}
	switch {
	case e.RoomID != r.id || event != "" && e.ID != event:
		return nil, matrix.InvalidParam("The event is not the one that the path names.")
	case e.Type != "m.room.member" || !e.StateKeyEquals(string(e.Sender)) || e.Membership() != act:
		return nil, matrix.InvalidParam("The event is no " + act + " of its sender.")
	case e.Sender.Server() != origin:
		return nil, matrix.Forbidden("The event is not one of your users'.")
	}
	if act != "leave" {
		if err := s.letIn(ctx, r, core.ActJoin, origin); err != nil {
			return nil, err
		}
	}
	if e, err = s.authorised(ctx, r, e); err != nil {
		return nil, err
	}
	if errs := s.opts.Peers.VerifyEvents(ctx, []*matrix.Event{e}); errs[0] != nil {
		return nil, matrix.Forbidden("The event is not signed as it must be.").Wrap(errs[0])
	}
	out, err := s.Receive(ctx, r.id, []*matrix.Event{e}, Arrival{From: origin, Relay: true})
	if err != nil {
		return nil, err
	}
	o := out[0]
	if err := o.failure(); err != nil {
		if matrix.AsError(err).Status == 500 {
			err = matrix.InvalidParam("The event refers to others that are not known here.").Wrap(err)
		}
		return nil, err
	}
	if o.Stored.Row.Flags&(storage.FlagRejected|storage.FlagSoftFailed) != 0 {
		return nil, matrix.Forbidden("The room does not allow this event.")
	}
	if o.Known {
		err = s.stillStands(ctx, r, e.Sender, act)
	}
	return &Sent{Room: r, Event: o.Stored, Before: o.Stored.Before()}, err
}

// stillStands refuses a membership event that comes again after something else has come: who is out of the room is not told of it once more.
func (s *Service) stillStands(ctx context.Context, r *Room, user matrix.UserID, act string) error {
	v, err := s.Current(ctx, r)
	if err != nil {
		return err
	}
	is, err := v.Membership(ctx, user)
	if err == nil && is != act {
		err = matrix.Forbidden("The event is here already, and counts no more.")
	}
	return err
}

// authorised adds our signature to a join that rests on the right of one of our users, after checking that the right is
// given. Spec: server-server-api/#restricted-rooms
func (s *Service) authorised(ctx context.Context, r *Room, e *matrix.Event) (*matrix.Event, error) {
	m, err := e.MembershipContent()
	if err != nil || m.Membership != "join" || m.AuthorisedVia == "" || !r.version.RestrictedJoins {
		return e, nil
	}
	key, ours := s.opts.Keys.SigningKey(m.AuthorisedVia.Server())
	if !ours {
		return e, nil
	}
	v, err := s.Current(ctx, r)
	if err != nil {
		return nil, err
	}
	now, err := v.Get(ctx, memberTuple(e.Sender))
	if err != nil {
		return nil, err
	}
	if membershipOf(now) != "join" {
		if _, err := s.authoriserOf(ctx, r, e.Sender, v, now); err != nil {
			return nil, err
		}
	}
	return e.Sign(key)
}
