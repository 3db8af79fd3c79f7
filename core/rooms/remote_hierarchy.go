package rooms

import (
	"context"
	"encoding/json"

	"rempart/internal/matrix"
	"rempart/storage"
)

// ServedSpace is a space as another server is told of it. Spec: server-server-api/#get_matrixfederationv1hierarchyroomid
type ServedSpace struct {
	Room         HierarchyRoom   `json:"room"`
	Children     []HierarchyRoom `json:"children"`
	Inaccessible []matrix.RoomID `json:"inaccessible_children"`
}

// maxServedChildren bounds how many rooms of a space one answer describes.
const maxServedChildren = 200

// ServeHierarchy describes a room and those of its children that are known here, for another server.
func (s *Service) ServeHierarchy(ctx context.Context, origin, asked matrix.ServerName, id matrix.RoomID, suggestedOnly bool) (*ServedSpace, error) {
	w := &spaceWalk{s: s, q: HierarchyRequest{SuggestedOnly: suggestedOnly}}
	root, children, err := w.serve(ctx, origin, asked, id)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, matrix.NotFound("There is no such room, or your server may not see it.")
	}
	out := &ServedSpace{Room: *root, Children: []HierarchyRoom{}, Inaccessible: []matrix.RoomID{}}
	for _, e := range children[:min(len(children), maxServedChildren)] {
		child := matrix.RoomID(*e.StateKey)
		r, _, err := w.serve(ctx, origin, asked, child)
		if isNotFound(err) {
			continue // a room that is not known here may be known elsewhere
		}
		if err != nil {
			return nil, err
		}
		if r == nil {
			out.Inaccessible = append(out.Inaccessible, child)
			continue
		}
		out.Children = append(out.Children, *r)
	}
	return out, nil
}

// serve describes one room with its children's events; nil when the server may not know of it, M_NOT_FOUND when the one of our servers that is
// asked is not in it, whoever else of this installation may be.
func (w *spaceWalk) serve(ctx context.Context, origin, asked matrix.ServerName, id matrix.RoomID) (*HierarchyRoom, []*Stored, error) {
	room, here, err := w.s.standsIn(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if room != nil && here {
		if here, err = w.s.ownJoined(ctx, room, asked); err != nil {
			return nil, nil, err
		}
	}
	if room == nil || !here {
		return nil, nil, matrix.NotFound("This room is not known here.")
	}
	view, err := w.s.Current(ctx, room)
	if err != nil {
		return nil, nil, err
	}
	sum, rules, err := w.s.describe(ctx, room, view)
	if err != nil {
		return nil, nil, err
	}
	known, err := w.s.knownToServer(ctx, room, origin, &sum.PublicRoom, rules)
	if err != nil || !known {
		return nil, nil, err
	}
	r := &HierarchyRoom{Summary: *sum, ChildrenState: []json.RawMessage{}}
	if r.RoomType != "m.space" {
		return r, nil, nil
	}
	children, err := w.children(ctx, room)
	r.ChildrenState = append(r.ChildrenState, strippedChildren(children)...)
	return r, children, err
}

// knownToServer reports whether some user of a server may know of a room.
func (s *Service) knownToServer(ctx context.Context, room *Room, origin matrix.ServerName, p *PublicRoom, rules matrix.JoinRules) (bool, error) {
	if ok, err := s.Admits(ctx, room, origin); err != nil || !ok {
		return false, err
	}
	if p.WorldReadable || rules.Rule == "public" || rules.Rule == "knock" || rules.Rule == "knock_restricted" {
		return true, nil
	}
	if ok, err := s.joinedFrom(ctx, room, origin); ok || err != nil {
		return ok, err
	}
	if ok, err := s.hasMember(ctx, room, origin, storage.MemberInvite); ok || err != nil {
		return ok, err
	}
	if rules.Rule != "restricted" {
		return false, nil
	}
	for _, a := range rules.Allow {
		if a.Type != "m.room_membership" {
			continue
		}
		other, here, err := s.standsIn(ctx, a.RoomID)
		if err != nil {
			return false, err
		}
		if other == nil || !here {
			continue
		}
		if ok, err := s.joinedFrom(ctx, other, origin); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// ownJoined reports whether one of our servers has a member in a room.
func (s *Service) ownJoined(ctx context.Context, room *Room, server matrix.ServerName) (bool, error) {
	v, err := s.visitorsOf(ctx, room, server)
	return len(v.how) > 0 && v.how[0] == storage.MemberJoin, err
}

// hasMember reports whether a server has a user who stands in a room in one of some ways.
func (s *Service) hasMember(ctx context.Context, room *Room, origin matrix.ServerName, ways ...storage.Membership) (bool, error) {
	v, err := s.visitorsOf(ctx, room, origin)
	for _, m := range v.how {
		for _, way := range ways {
			if m == way {
				return true, err
			}
		}
	}
	return false, err
}

// ServersIn are servers that are in a room, as far as it is known here, other than ours; at most max.
func (s *Service) ServersIn(ctx context.Context, room *Room, max int) []matrix.ServerName {
	return s.serversIn(ctx, room, max)
}
