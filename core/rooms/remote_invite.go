package rooms

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// inviteElsewhere appends an invitation of a user of another server: that server sees it first and signs it.
// Spec: server-server-api/#inviting-to-a-room
func (s *Service) inviteElsewhere(ctx context.Context, r *Room, d Draft) (*Stored, error) {
	v, err := s.Current(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := s.passElsewhere(ctx, r, &d); err != nil {
		return nil, err
	}
	e, err := s.propose(ctx, v, d)
	if err != nil {
		return nil, err
	}
	to := matrix.UserID(*d.StateKey).Server()
	stripped, err := s.strippedFor(ctx, v, e)
	if err != nil {
		return nil, err
	}
	raw, err := s.opts.Peers.Invite(ctx, d.Sender.Server(), to, e, stripped)
	if err != nil {
		return nil, inviteRefusal(err)
	}
	signed, err := r.version.ParseUntrusted(raw)
	if err != nil || signed.ID != e.ID {
		return nil, matrix.NewError(502, matrix.CodeUnknown, "The other server gave back another invitation.").Wrap(err)
	}
	if errs := s.opts.Peers.VerifyEvents(ctx, []*matrix.Event{signed}); errs[0] != nil {
		return nil, matrix.NewError(502, matrix.CodeUnknown, "The other server spoilt the invitation.").Wrap(errs[0])
	}
	out, err := s.Receive(ctx, r.id, []*matrix.Event{signed}, Arrival{Relay: true})
	if err != nil {
		return nil, err
	}
	return out[0].Stored, out[0].failure()
}

// inviteRefusal is what the inviting user is told.
func inviteRefusal(err error) error {
	var e *matrix.Error
	if errors.As(err, &e) && e.Code != "" && e.Status >= 400 && e.Status < 500 &&
		e.Code != matrix.CodeMissingParam && e.Code != matrix.CodeInvalidParam { // Spec: those are not the user's fault
		return err
	}
	return matrix.NewError(502, matrix.CodeUnknown, "The server of the invited user could not be reached.").
		French("Le serveur de la personne invitée n'a pas pu être joint.").Wrap(err)
}

// strippedTypes are the pieces of state that a room shows to those outside. Spec: client-server-api/#stripped-state
var strippedTypes = [...]string{"m.room.create", "m.room.name", "m.room.avatar", "m.room.topic", "m.room.join_rules",
	"m.room.canonical_alias", "m.room.encryption"}

// Stripped is what the room of an invitation or a knock shows to its user.
func (s *Service) Stripped(ctx context.Context, r *Room, e *matrix.Event) ([]json.RawMessage, error) {
	v, err := s.Current(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.strippedFor(ctx, v, e)
}

func (s *Service) strippedFor(ctx context.Context, v *View, e *matrix.Event) ([]json.RawMessage, error) {
	tuples := make([]matrix.StateTuple, 0, len(strippedTypes)+1)
	for _, typ := range strippedTypes {
		tuples = append(tuples, matrix.StateTuple{Type: typ})
	}
	if !e.StateKeyEquals(string(e.Sender)) {
		tuples = append(tuples, memberTuple(e.Sender))
	}
	var out []json.RawMessage
	for _, t := range tuples {
		piece, err := v.Get(ctx, t)
		if err != nil {
			return nil, err
		}
		if piece != nil {
			out = append(out, json.RawMessage(piece.JSON)) // Spec: whole events; the receiver strips them (MSC4311)
		}
	}
	return out, nil
}

// AcceptInvite takes an invitation of one of our users from another server and gives it back with our signature.
// Spec: server-server-api/#put_matrixfederationv2inviteroomideventid
func (s *Service) AcceptInvite(ctx context.Context, origin matrix.ServerName, version string, id matrix.RoomID, event matrix.EventID,
	raw json.RawMessage, stripped []json.RawMessage) (*matrix.Event, error) {
	if s.opts.Peers == nil {
		return nil, errAlone
	}
	v, ok := matrix.Version(version)
	if !ok {
		return nil, matrix.IncompatibleRoomVersion(version)
	}
	e, err := v.ParseUntrusted(raw)
	if err != nil {
		return nil, err
	}
	if err := s.checkInvite(ctx, origin, id, event, e); err != nil {
		return nil, err
	}
	if err := s.admitted(ctx, id); err != nil {
		return nil, err
	}
	user := matrix.UserID(*e.StateKey)
	if err := s.mayBeAsked(user, origin); err != nil {
		return nil, err
	}
	if err := s.mayInvite(ctx, e.Sender, user); err != nil {
		return nil, err
	}
	if errs := s.opts.Peers.VerifyEvents(ctx, []*matrix.Event{e}); errs[0] != nil {
		return nil, matrix.InvalidParam("The event is not signed as it must be.").Wrap(errs[0])
	}
	shown, unproven := s.credible(ctx, v, id, stripped)
	if unproven != nil && !s.isIn(ctx, id) { // Why: where we are in the room nothing of what is shown is of use
		return nil, unproven
	}
	key, _ := s.opts.Keys.SigningKey(user.Server())
	signed, err := e.Sign(key)
	if err != nil {
		return nil, err
	}
	r, err := s.openRoom(ctx, id, v)
	if err != nil {
		return nil, err
	}
	here, err := s.resident(ctx, r)
	if err != nil {
		return nil, err
	}
	if here {
		ok, err := s.Admits(ctx, r, origin)
		if err == nil && !ok {
			err = matrix.Forbidden("Your server is kept out of this room by its access list.")
		}
		return signed, err // the event itself comes as all others of the room do
	}
	if unproven != nil {
		return nil, unproven
	}
	m, err := s.standingOf(ctx, r, user)
	if err != nil {
		return nil, err
	}
	if m.Membership == storage.MemberJoin {
		return nil, matrix.Forbidden("The user is in the room already.")
	}
	return signed, s.standOutside(ctx, r, signed, user, proper(shown), []matrix.ServerName{origin})
}

// isIn reports whether users of ours are in a room.
func (s *Service) isIn(ctx context.Context, id matrix.RoomID) bool {
	r, err := s.Room(ctx, id)
	if err != nil {
		return false
	}
	in, err := s.resident(ctx, r)
	return err == nil && in
}

// credible is what counts of what a room shows of itself. Where its id depends on the create event, that must be whole, of this room and
// signed, as must be whatever else comes as a whole event; a create event without its proof is left out. Why not refused, with all that comes
// stripped: Synapse (1.160) sends the rest so and Dendrite (0.15.2) everything, and such claims are worth what they are in older rooms (docs/adr/0021).
// Spec: server-server-api/#put_matrixfederationv2inviteroomideventid (MSC4311)
func (s *Service) credible(ctx context.Context, v *matrix.RoomVersion, id matrix.RoomID, shown []json.RawMessage) ([]json.RawMessage, error) {
	if !v.RoomIDIsCreateHash {
		return shown, nil
	}
	if len(shown) > maxStripped {
		return nil, matrix.TooLarge("The room shows too many events.")
	}
	var whole, out []json.RawMessage
	for _, raw := range shown {
		typ, stripped := strippedType(raw)
		if !stripped {
			whole = append(whole, raw)
		}
		if !stripped || typ != "m.room.create" {
			out = append(out, raw)
		}
	}
	events := parse(v, id, whole)
	if len(events) != len(whole) {
		return nil, matrix.InvalidParam("Something in invite_room_state is no event of the room.")
	}
	if good, _ := s.verified(ctx, events); len(good) != len(events) {
		return nil, matrix.InvalidParam("An event in invite_room_state is not signed as it must be.")
	}
	return out, nil
}

// strippedType is the type of stripped state, and reports whether something is that: no more than four keys, and the time of a create event.
// Spec: client-server-api/#stripped-state
func strippedType(raw json.RawMessage) (typ string, stripped bool) {
	var e map[string]json.RawMessage
	if matrix.Decode(raw, &e) != nil || matrix.Decode(e["type"], &typ) != nil {
		return "", false
	}
	keys := 4
	if _, timed := e["origin_server_ts"]; timed && typ == "m.room.create" {
		keys++
	}
	for _, key := range []string{"type", "state_key", "sender", "content"} {
		if _, ok := e[key]; !ok {
			return typ, false
		}
	}
	return typ, len(e) == keys
}

// checkInvite refuses what is no invitation of a user of ours.
func (s *Service) checkInvite(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, event matrix.EventID, e *matrix.Event) error {
	switch {
	case e.RoomID != id || e.ID != event:
		return matrix.InvalidParam("The event is not the one that the path names.")
	case e.Type != "m.room.member" || e.StateKey == nil || e.Membership() != "invite":
		return matrix.InvalidParam("The event is no invitation.")
	case e.Sender.Server() != origin:
		return matrix.InvalidParam("The event is not one of your users'.")
	case !s.isOurs(matrix.UserID(*e.StateKey).Server()):
		return matrix.InvalidParam("The invited user is not one of this server.")
	}
	s.makeUser(ctx, matrix.UserID(*e.StateKey))
	if _, err := s.db.FindUser(ctx, matrix.UserID(*e.StateKey)); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return matrix.Forbidden("There is no such user here.")
		}
		return err
	}
	return nil
}
