package rooms

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"rempart/core"
	"rempart/internal/matrix"
)

// verdictLife is how long it is taken for granted that the same policy still decides alike: agreements end by the clock.
const verdictLife = 10_000 // milliseconds

// Shut is a server with members in a room in which the policy does not want it.
type Shut struct {
	Server  matrix.ServerName
	Members int
	Refusal *core.Refusal
}

// verdict is how the policy decided about the servers in a room, for one of ours.
type verdict struct {
	generation uint64
	ours       matrix.ServerName
	until      int64
	shut       []Shut
}

// shutFor are the servers for whose sake users of one of ours may not write into a room. Only joined members count: whoever is
// merely invited or knocks freezes nothing, else any stranger could silence a room.
func (s *Service) shutFor(room int64, in *servers, ours matrix.ServerName) []Shut {
	p := s.opts.Policy
	if p == nil {
		return nil
	}
	shut := s.shutMembers(in, ours)
	for name, n := range s.claims.of(room) {
		if shuts(shut, name) {
			continue
		}
		if r := p.Judge(core.ActClosure, ours, name); r != nil {
			shut = append(slices.Clip(shut), Shut{name, n, r})
		}
	}
	return shut
}

// shutMembers is shutFor for those whom our own state of the room shows.
func (s *Service) shutMembers(in *servers, ours matrix.ServerName) []Shut {
	p := s.opts.Policy
	if in == nil || in.set == nil {
		return nil
	}
	now, generation := s.nowMS(), p.Generation()
	if v := in.judged.Load(); v != nil && v.generation == generation && v.ours == ours && now < v.until {
		return v.shut
	}
	v := &verdict{generation: generation, ours: ours, until: now + verdictLife, shut: s.judgeServers(core.ActClosure, ours, in)}
	in.judged.Store(v)
	return v.shut
}

// judgeServers are those of the servers in a room that the policy refuses to one of ours.
func (s *Service) judgeServers(act core.RoomAct, ours matrix.ServerName, in *servers) (shut []Shut) {
	for _, name := range in.set.Names() {
		if r := s.opts.Policy.Judge(act, ours, name); r != nil {
			shut = append(shut, Shut{name, in.members[name], r})
		}
	}
	return shut
}

// frozen is what somebody is told who would write into such a room.
func frozen(shut []Shut) *matrix.Error {
	names := make([]string, len(shut))
	for i, c := range shut {
		names[i] = string(c.Server)
	}
	first, who := shut[0].Refusal, strings.Join(names, ", ")
	r := core.Refusal{Rule: first.Rule, Decision: first.Decision,
		EN: "Nothing can be written into this room while " + who + " is in it. " + first.EN +
			" Ban its members from the room, leave it, or go on in a new room.",
		FR: "Rien ne peut être écrit dans ce salon tant que " + who + " y participe. " + first.FR +
			" Bannissez ses membres du salon, quittez-le, ou continuez dans un nouveau salon."}
	return r.Error(map[string]any{"frozen_by": names, "remedies": remedyWords()})
}

// remedyWords are what may still be done in a frozen room.
func remedyWords() []string { return []string{"kick", "ban", "leave", "server_acl", "upgrade"} }

// passClosure refuses a local event that a room must not hear: all of them while a server is in it that the policy refuses, save for
// those by which it is opened again, which are cut down to what they must say; and invitations of users of such a server.
func (b *builder) passClosure(d *Draft) error {
	p := b.s.opts.Policy
	if p == nil {
		return nil
	}
	if err := b.s.mayAsk(d); err != nil {
		return err
	}
	shut := b.s.shutFor(b.r.nid, b.snap.servers, d.Sender.Server())
	if len(shut) == 0 || d.remedies(shut) {
		return nil
	}
	return frozen(shut)
}

// mayAsk refuses an invitation of a user whose server the policy refuses to the sender's.
func (s *Service) mayAsk(d *Draft) error {
	if d.Type != "m.room.member" || d.StateKey == nil {
		return nil
	}
	other := matrix.UserID(*d.StateKey).Server()
	if s.isOurs(other) || membershipTold(d.Content) != "invite" {
		return nil
	}
	if r := s.opts.Policy.Judge(core.ActInvite, d.Sender.Server(), other); r != nil {
		return r.Error(nil)
	}
	return nil
}

// remedies reports whether an event helps to open the room again, and takes out of it what need not be told.
func (d *Draft) remedies(shut []Shut) bool {
	if d.StateKey == nil {
		return false
	}
	switch d.Type {
	case "m.room.server_acl", "m.room.tombstone":
		return *d.StateKey == ""
	case "m.room.member":
		m := membershipTold(d.Content)
		leaves := *d.StateKey == string(d.Sender) && m == "leave"
		if !leaves && !(shuts(shut, matrix.UserID(*d.StateKey).Server()) && (m == "leave" || m == "ban")) {
			return false
		}
		d.Content = json.RawMessage(`{"membership":"` + m + `"}`)
		return true
	}
	return false
}

func shuts(shut []Shut, server matrix.ServerName) bool {
	for _, c := range shut {
		if c.Server == server {
			return true
		}
	}
	return false
}

// Held reports whether an event of ours must wait until its room is open again before other servers hear of it: one that was
// written before the room was frozen and has not left yet.
func (s *Service) Held(ctx context.Context, e *Stored) (bool, error) {
	if s.opts.Policy == nil || !s.isOurs(e.Sender.Server()) {
		return false, nil
	}
	r, err := s.RoomByNID(ctx, e.Row.Room)
	if err != nil {
		return false, err
	}
	in, err := s.serversOf(ctx, r)
	if err != nil {
		return false, err
	}
	shut := s.shutFor(r.nid, in, e.Sender.Server())
	if len(shut) == 0 {
		return false, nil
	}
	d := Draft{Sender: e.Sender, Type: e.Type, StateKey: e.StateKey, Content: e.Content}
	return !d.remedies(shut), nil
}

// Open refuses a user for whom a room is frozen, as for its calls; nil while it is open.
func (s *Service) Open(ctx context.Context, user matrix.UserID, id matrix.RoomID) error {
	if s.opts.Policy == nil {
		return nil
	}
	r, err := s.Room(ctx, id)
	if err != nil {
		return err
	}
	in, err := s.serversOf(ctx, r)
	if err != nil {
		return err
	}
	for _, ours := range s.oursFor(in, user.Server()) {
		if shut := s.shutFor(r.nid, in, ours); len(shut) > 0 {
			return frozen(shut)
		}
	}
	return nil
}

// oursFor are the servers of ours for which a user is judged: his own, or, when he is of another server, all that are in the room.
func (s *Service) oursFor(in *servers, server matrix.ServerName) []matrix.ServerName {
	if s.isOurs(server) {
		return []matrix.ServerName{server}
	}
	var list []matrix.ServerName
	for name := range in.ours {
		list = append(list, name)
	}
	if list == nil {
		list = []matrix.ServerName{s.opts.Server}
	}
	return list
}

// letIn refuses a server of others whose user would come into a room, or knock at it, by us: one that would freeze the room for some of
// ours, and any while the room is frozen.
func (s *Service) letIn(ctx context.Context, r *Room, act core.RoomAct, server matrix.ServerName) error {
	if s.opts.Policy == nil {
		return nil
	}
	in, err := s.serversOf(ctx, r)
	if err != nil {
		return err
	}
	for _, ours := range s.oursFor(in, server) {
		if refused := s.opts.Policy.Judge(act, ours, server); refused != nil {
			return refused.Error(nil)
		}
		if shut := s.shutFor(r.nid, in, ours); len(shut) > 0 {
			return frozen(shut)
		}
	}
	return nil
}

// passElsewhere is what is asked of an event that another server sees before it is in the room: an invitation of one of its users.
func (s *Service) passElsewhere(ctx context.Context, r *Room, d *Draft) error {
	if s.opts.Policy == nil {
		return nil
	}
	if err := s.mayAsk(d); err != nil {
		return err
	}
	in, err := s.serversOf(ctx, r)
	if err != nil {
		return err
	}
	if shut := s.shutFor(r.nid, in, d.Sender.Server()); len(shut) > 0 {
		return frozen(shut)
	}
	return nil
}

// mayBeAsked refuses an invitation of a user of ours that comes from a server which the policy refuses to his.
func (s *Service) mayBeAsked(user matrix.UserID, origin matrix.ServerName) error {
	if s.opts.Policy == nil {
		return nil
	}
	if r := s.opts.Policy.Judge(core.ActInvite, user.Server(), origin); r != nil {
		return r.Error(nil)
	}
	return nil
}
