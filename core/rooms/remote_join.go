package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
)

// Bounds of entering a room through others.
const (
	enterTime     = 90 * time.Second
	takeInTime    = 10 * time.Minute // for what a room that was entered holds
	candidateTime = 40 * time.Second
	maxCandidates = 12
	joinAgain     = 300 * time.Millisecond
)

// Entry is a user's wish to enter, knock at or leave a room that may be elsewhere.
type Entry struct {
	Room   matrix.RoomID
	User   matrix.UserID
	Reason string
	// Via are servers that may be in the room.
	Via []matrix.ServerName
	// Extra are further keys for his membership event.
	Extra map[string]json.RawMessage

	bare bool // his membership event shows his id alone
}

// change is the same wish for a room that is here.
func (e *Entry) change(r *Room) MembershipChange {
	return MembershipChange{Room: r, Sender: e.User, Target: e.User, Reason: e.Reason, Extra: e.Extra}
}

// JoinVia makes a user a member of a room, through other servers where this installation is not in it or cannot let him in itself.
// Spec: server-server-api/#joining-rooms
func (s *Service) JoinVia(ctx context.Context, e Entry) error {
	unlock, err := s.entering.lock(ctx, e.Room)
	if err != nil {
		return err
	}
	defer unlock()
	r, here, err := s.standsIn(ctx, e.Room)
	if err != nil {
		return err
	}
	if here {
		return s.joinHere(ctx, r, e)
	}
	others := s.candidates(ctx, r, e)
	if len(others) == 0 && r != nil && len(s.headsOf(ctx, r)) > 0 {
		return s.Join(ctx, e.change(r)) // the room is nowhere else
	}
	return s.joinThrough(ctx, e, others, false)
}

// joinHere lets a user into a room that this installation is in, where it can do so; otherwise through others. Whom these refuse though we know
// him in a room whose members may join is looked at once more a little later: of that room, or of who may let him in here, one of us has not heard yet.
func (s *Service) joinHere(ctx context.Context, r *Room, e Entry) error {
	for again := false; ; again = true {
		err := s.Join(ctx, e.change(r))
		if !matrix.HasCode(err, matrix.CodeUnableToGrantJoin) && !matrix.HasCode(err, matrix.CodeUnableToAuthoriseJoin) {
			return err
		}
		others := s.candidates(ctx, r, e)
		if len(others) == 0 {
			return err
		}
		if err = s.joinThrough(ctx, e, others, true); again || !matrix.HasCode(err, matrix.CodeForbidden) {
			return err
		}
		select {
		case <-time.After(joinAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// standsIn finds a room, nil when it is not known, and whether this installation is in it.
func (s *Service) standsIn(ctx context.Context, id matrix.RoomID) (*Room, bool, error) {
	r, err := s.Room(ctx, id)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	here, err := s.resident(ctx, r)
	return r, here, err
}

func (s *Service) headsOf(ctx context.Context, r *Room) []head {
	n, err := r.snapshotNow(ctx)
	if err != nil {
		return nil
	}
	return n.heads
}

// candidates are the servers through which a room may be entered, in the order in which they are asked: those that the user
// names and who invited him; without any, the room's own and those that were in the room when we last knew.
func (s *Service) candidates(ctx context.Context, r *Room, e Entry) []matrix.ServerName {
	var invited, known []matrix.ServerName
	if r != nil {
		invited = s.invitedBy(ctx, r, e.User)
	}
	if named := s.others(maxCandidates, e.Via, invited); len(named) > 0 {
		return named
	}
	if r != nil {
		known = s.serversIn(ctx, r, maxCandidates)
	}
	return s.others(maxCandidates, []matrix.ServerName{e.Room.Server()}, known)
}

// serversIn are some of the servers in a room, by its current state as it is known here, those with the most members first.
func (s *Service) serversIn(ctx context.Context, r *Room, most int) []matrix.ServerName {
	found, err := s.serversOf(ctx, r)
	if err != nil {
		return nil
	}
	return s.others(most, found.byMembers())
}

// joinThrough asks one server after the other to let the user in.
func (s *Service) joinThrough(ctx context.Context, e Entry, others []matrix.ServerName, here bool) error {
	if s.opts.Peers == nil || len(others) == 0 {
		return errAlone
	}
	if err := s.admitted(ctx, e.Room); err != nil {
		return err
	}
	others, err := s.mayAskThrough(e.User, others)
	if err != nil {
		return err
	}
	e.bare = !here && s.bareEntry()
	ctx, cancel := context.WithTimeout(ctx, enterTime)
	defer cancel()
	var first error
	var lost *unfinished
	for _, to := range others {
		join, err := s.joinOne(ctx, e, to, here)
		if err == nil {
			return nil
		}
		if lost == nil && errors.As(err, new(errUnanswered)) {
			lost = &unfinished{Room: e.Room, User: e.User, To: to, Version: join.Version.ID, Event: join.JSON, Bare: e.bare}
		}
		s.log.Info("join through another server failed", "room", e.Room, "server", to, "error", err)
		first = moreTelling(first, err)
		if ctx.Err() != nil {
			break
		}
	}
	if lost != nil {
		if err := s.finishLater(ctx, lost); err != nil {
			s.log.Error("a join whose answer was lost will not be finished", "room", e.Room, "user", e.User, "server", lost.To, "error", err)
		}
	}
	return remoteRefusal(first)
}

// moreTelling is the error that says more to the user: a refusal says more than silence, and "forbidden" more than "unknown".
func moreTelling(first, err error) error {
	if first == nil || matrix.HasCode(err, matrix.CodeForbidden) && !matrix.HasCode(first, matrix.CodeForbidden) {
		return err
	}
	var e *matrix.Error
	if !errors.As(first, &e) && errors.As(err, &e) {
		return err
	}
	return first
}

// joinOne joins through one server, and gives the join that was handed in there.
func (s *Service) joinOne(ctx context.Context, e Entry, to matrix.ServerName, here bool) (*matrix.Event, error) {
	asking, done := context.WithTimeout(ctx, candidateTime)
	join, err := s.proposed(asking, e, to, "join")
	done()
	if err != nil {
		return nil, err
	}
	if err := s.shown(ctx, &e, to, "join"); err != nil {
		return nil, err
	}
	// Why without the deadlines of asking: for the others our user is in the room from now on, so that it must be taken in.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeInTime)
	defer cancel()
	return join, s.handInAgain(ctx, e, to, join, here)
}

// handIn hands in a join and takes in what it is answered.
func (s *Service) handIn(ctx context.Context, e Entry, to matrix.ServerName, join *matrix.Event, here bool) error {
	if here {
		answer, err := s.opts.Peers.SendJoin(ctx, e.User.Server(), to, join, func(bool, json.RawMessage) error { return nil })
		if err != nil {
			return unanswered(err)
		}
		return s.joinInGraph(ctx, s.countersigned(ctx, join, answer.Event), to)
	}
	if err := s.enterRoom(ctx, e, to, join); err != nil {
		return err
	}
	s.showProfile(ctx, e)
	return nil
}

// proposed asks a server for a membership event and makes it ours.
func (s *Service) proposed(ctx context.Context, e Entry, to matrix.ServerName, act string) (*matrix.Event, error) {
	version, raw, err := s.opts.Peers.MakeMembership(ctx, e.User.Server(), to, act, e.Room, e.User, versionIDs())
	if err != nil {
		return nil, err
	}
	if version == "" {
		version = "1" // Spec: the room version is 1 where it is not told
	}
	v, ok := matrix.Version(version)
	if !ok {
		return nil, matrix.UnsupportedRoomVersion()
	}
	t, err := readTemplate(raw, e.Room, e.User, act)
	if err != nil {
		return nil, err
	}
	content := map[string]any{"membership": act}
	if t.Content.AuthorisedVia != "" && act == "join" {
		content["join_authorised_via_users_server"] = t.Content.AuthorisedVia
	}
	if e.Reason != "" {
		content["reason"] = e.Reason
	}
	if m := e.change(nil); !e.bare {
		if err := s.addProfile(ctx, m, content); err != nil {
			return nil, err
		}
		m.addExtra(content)
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	key, ok := s.opts.Keys.SigningKey(e.User.Server())
	if !ok {
		return nil, matrix.Forbidden("The sender is not a user of this server.")
	}
	return t.build(v, body, s.nowMS(), key)
}

// versionIDs are the room versions that we know.
func versionIDs() []string {
	all := matrix.Versions()
	ids := make([]string, len(all))
	for i, v := range all {
		ids[i] = v.ID
	}
	return ids
}

// countersigned is our event as the other server signed it, when that is what it gave back.
func (s *Service) countersigned(ctx context.Context, e *matrix.Event, raw json.RawMessage) *matrix.Event {
	if len(raw) == 0 {
		return e
	}
	signed, err := e.Version.ParseUntrusted(raw)
	if err != nil || signed.ID != e.ID {
		return e
	}
	if errs := s.opts.Peers.VerifyEvents(ctx, []*matrix.Event{signed}); errs[0] != nil {
		return e
	}
	return signed
}

// joinInGraph places a join that another server let in, in a room that we are in.
func (s *Service) joinInGraph(ctx context.Context, join *matrix.Event, to matrix.ServerName) error {
	r, err := s.Room(ctx, join.RoomID)
	if err != nil {
		return err
	}
	outcomes, err := s.receiveFetching(ctx, r, []*matrix.Event{join}, Arrival{From: to})
	if err != nil {
		return err
	}
	return outcomes[0].failure()
}

// failure is why an event did not become part of the room.
func (o *Outcome) failure() error {
	if o.Err != nil {
		return o.Err
	}
	return o.Refused
}

// enterRoom hands in a join, takes in the room as the resident server tells it, and then the join.
func (s *Service) enterRoom(ctx context.Context, e Entry, to matrix.ServerName, join *matrix.Event) error {
	n := s.newIntake(join)
	var answer *core.JoinState
	err := n.run(ctx, func(ctx context.Context, take func(bool, json.RawMessage) error) (err error) {
		answer, err = s.opts.Peers.SendJoin(ctx, e.User.Server(), to, join, take)
		if err != nil && ctx.Err() == nil { // else it was not the answer that failed
			err = unanswered(err)
		}
		return err
	})
	if err != nil {
		return err
	}
	if !n.created {
		return errNoState
	}
	if err := s.admitEntry(ctx, e, to, n.in, answer.Servers); err != nil {
		return err
	}
	if err := n.complete(ctx, to); err != nil {
		return err
	}
	_, err = s.placeAnew(ctx, n.r, s.countersigned(ctx, join, answer.Event), n.kept())
	return err
}

var errNoState = matrix.Forbidden("The other server told no proper state of the room.")

// checkCreate refuses a state without the create event of this room and version.
func checkCreate(v *matrix.RoomVersion, state []*matrix.Event) error {
	for _, e := range state {
		if e.Type != "m.room.create" || !e.StateKeyEquals("") {
			continue
		}
		c, err := e.CreateContent()
		if err != nil {
			break
		}
		if version := c.RoomVersion; version == v.ID || version == "" && v.ID == "1" {
			return nil
		}
	}
	return errNoState
}

// keepChecked checks the signatures of events that are not known yet and keeps these as outliers. It reports whether some could not be checked now.
func (s *Service) keepChecked(ctx context.Context, r *Room, events []*matrix.Event) (unchecked bool, err error) {
	events, known, err := s.unknown(ctx, r, events)
	if err != nil {
		return false, err
	}
	events, unchecked = s.verified(ctx, events)
	return unchecked, s.keepOutliers(ctx, r, events, known, nil)
}
