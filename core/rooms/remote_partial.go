package rooms

import (
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxHeroes is how many members stand for a room without a name. Spec: client-server-api/#get_matrixclientv3sync
const maxHeroes = 5

// Admission is what a server is told that joined.
type Admission struct {
	State, Auth []*Stored
	// Omitted says that memberships were left out; Servers are then those that were in the room, ours among them.
	Omitted bool
	Servers []matrix.ServerName
}

// Admission is the room before a join that was taken in. omit leaves out the memberships that a server does not need to begin
// with. Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid
func (s *Service) Admission(ctx context.Context, sent *Sent, origin matrix.ServerName, omit bool) (*Admission, error) {
	a := &Admission{}
	var err error
	if !omit {
		a.State, a.Auth, err = s.StateWithAuth(ctx, sent.Room, sent.Before)
		return a, err
	}
	all, err := s.stateEvents(ctx, sent.Room, sent.Before)
	if err != nil {
		return nil, err
	}
	heroes, err := s.heroesBefore(ctx, sent)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if e.Type != "m.room.member" || slices.Contains(heroes, matrix.UserID(*e.StateKey)) || *e.StateKey == string(sent.Event.Sender) {
			a.State = append(a.State, e)
		}
	}
	chain, err := s.authChain(ctx, append(slices.Clone(a.State), sent.Event))
	if err != nil {
		return nil, err
	}
	told := make(map[int64]bool, len(a.State))
	for _, e := range a.State {
		told[e.Row.NID] = true
	}
	a.Auth = slices.DeleteFunc(chain, func(e *Stored) bool { return told[e.Row.NID] })
	a.Omitted = true
	a.Servers, err = s.serversBefore(ctx, sent, origin)
	return a, err
}

// heroesBefore are the members that stand for the room, if it has no name.
func (s *Service) heroesBefore(ctx context.Context, sent *Sent) ([]matrix.UserID, error) {
	for _, typ := range [...]string{"m.room.name", "m.room.canonical_alias"} {
		e, err := s.KeyAt(ctx, sent.Room, sent.Before, matrix.StateTuple{Type: typ})
		if err != nil || e != nil {
			return nil, err
		}
	}
	ids, _, err := s.db.ListMemberIDs(ctx, sent.Room.nid, 0, storage.MemberJoin, maxHeroes+1)
	ids = slices.DeleteFunc(ids, func(id matrix.UserID) bool { return id == sent.Event.Sender })
	return ids[:min(len(ids), maxHeroes)], err
}

// serversBefore are the servers that were in the room before the join.
func (s *Service) serversBefore(ctx context.Context, sent *Sent, origin matrix.ServerName) ([]matrix.ServerName, error) {
	own, err := s.asker(ctx, sent.Room)
	if err != nil {
		return nil, err
	}
	others, err := s.Servers(ctx, sent.Room)
	if err != nil {
		return nil, err
	}
	_, how, err := s.db.ListServerMembers(ctx, sent.Room.nid, origin, 2)
	if err != nil {
		return nil, err
	}
	before := len(how) == 2 && how[1] == storage.MemberJoin
	out := []matrix.ServerName{own}
	for _, name := range others {
		if name != own && (name != origin || before) {
			out = append(out, name)
		}
	}
	return out, nil
}
