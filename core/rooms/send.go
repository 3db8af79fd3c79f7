package rooms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// SendRequest asks for one event of a client's own making.
type SendRequest struct {
	Room     *Room
	Sender   matrix.UserID
	Type     string
	StateKey *string
	Content  json.RawMessage
	// OriginTS is set by application services only; 0 takes the time of receipt.
	OriginTS int64
	// Txn is the client's transaction id; a repetition answers with the first event.
	Txn *Transaction
	// Sticky is for how many milliseconds the event sticks; 0: not at all. MSC4354
	Sticky int64
	// Guards are written with the event or not at all; After is that of a [Draft].
	Guards []storage.Guard
	After  func(e *Stored) ([]storage.Row, error)
}

// draft is what the request asks for, without what only a redaction has.
func (q *SendRequest) draft() Draft {
	return Draft{Sender: q.Sender, Type: q.Type, StateKey: q.StateKey, Content: q.Content, OriginTS: q.OriginTS, Txn: q.Txn,
		Sticky: q.Sticky, Guards: q.Guards, After: q.After}
}

// Send appends a message or state event and answers its id. State that is already so is not sent again.
// Spec: client-server-api/#sending-events-to-a-room
func (s *Service) Send(ctx context.Context, q SendRequest) (matrix.EventID, error) {
	if q.Type == "m.room.create" {
		return "", matrix.BadJSON("A room has one m.room.create event, made with the room.")
	}
	draft := q.draft()
	if q.Type == "m.room.redaction" {
		return s.sendRedaction(ctx, q, draft)
	}
	if q.StateKey != nil {
		return s.sendState(ctx, q, draft)
	}
	if err := s.checkAnnotation(ctx, q); err != nil {
		return s.sentBefore(ctx, q.Txn, err)
	}
	sent, err := s.Compose(ctx, q.Room, func(*View) ([]Draft, error) { return []Draft{draft}, nil })
	if err != nil {
		return s.sentBefore(ctx, q.Txn, err)
	}
	return sent[0].ID, nil
}

// sentBefore answers a request that was refused with the event that it made the first time: whoever repeats a request
// hears the same, even if he could not make it any more.
func (s *Service) sentBefore(ctx context.Context, t *Transaction, refusal error) (matrix.EventID, error) {
	if t == nil {
		return "", refusal
	}
	nid, err := s.db.FindTransaction(ctx, t)
	if err != nil {
		return "", refusal
	}
	e, err := s.event(ctx, nid)
	if err != nil {
		return "", refusal
	}
	return e.ID, nil
}

func (s *Service) sendState(ctx context.Context, q SendRequest, d Draft) (matrix.EventID, error) {
	if err := s.checkState(ctx, q); err != nil {
		return "", err
	}
	if invited, err := s.asksElsewhere(ctx, q); err != nil {
		return "", err
	} else if invited {
		return s.sendInvite(ctx, q, d)
	}
	var same matrix.EventID
	sent, err := s.Compose(ctx, q.Room, func(v *View) ([]Draft, error) {
		now, err := v.Get(ctx, matrix.StateTuple{Type: q.Type, Key: *q.StateKey})
		if err != nil {
			return nil, err
		}
		draft := d
		if q.Type == "m.room.member" {
			if draft.Content, err = s.memberContent(ctx, q, v, now); err != nil {
				return nil, err
			}
		}
		if now != nil && now.Sender == q.Sender && sameContent(now.Content, draft.Content) {
			same = now.ID
			return nil, nil
		}
		return []Draft{draft}, nil
	})
	if err != nil {
		return "", err
	}
	if len(sent) == 0 {
		return same, nil
	}
	return sent[0].ID, nil
}

// asksElsewhere reports whether a state event invites somebody of another server, which must see it first and sign it. Not what a
// shadow-banned account asks for: nobody hears of that.
func (s *Service) asksElsewhere(ctx context.Context, q SendRequest) (bool, error) {
	if q.Type != "m.room.member" || s.opts.Peers == nil || s.isOurs(matrix.UserID(*q.StateKey).Server()) || membershipTold(q.Content) != "invite" {
		return false, nil
	}
	banned, err := s.loadShadows(ctx)
	_, is := banned[q.Sender]
	return !is, err
}

// sendInvite is sendState for such an invitation.
func (s *Service) sendInvite(ctx context.Context, q SendRequest, d Draft) (_ matrix.EventID, err error) {
	if d.Content, err = s.memberContent(ctx, q, nil, nil); err != nil {
		return "", err
	}
	e, err := s.inviteElsewhere(ctx, q.Room, d)
	if err != nil {
		return "", err
	}
	return e.ID, nil
}

// memberContent is the content of a membership event that a client wrote itself, with the one key that only a server
// can fill in. Spec: rooms/v8/#authorisation-rules
func (s *Service) memberContent(ctx context.Context, q SendRequest, v *View, now *matrix.Event) (json.RawMessage, error) {
	var content map[string]json.RawMessage
	if err := matrix.Decode(q.Content, &content); err != nil {
		return nil, matrix.BadJSON("The content of m.room.member must be an object.")
	}
	told := membershipTold(q.Content)
	if told == "leave" && *q.StateKey == string(q.Sender) {
		if err := s.mayRefuse(ctx, q.Room, q.Sender); err != nil {
			return nil, err
		}
	}
	const authorised = "join_authorised_via_users_server"
	_, claimed := content[authorised]
	delete(content, authorised)
	who := matrix.UserID("")
	if told == "join" && *q.StateKey == string(q.Sender) && membershipOf(now) != "join" {
		var err error
		if err = s.admitted(ctx, q.Room.id); err != nil {
			return nil, err
		}
		if who, err = s.authoriserOf(ctx, q.Room, q.Sender, v, now); err != nil {
			return nil, err
		}
	}
	if who != "" {
		content[authorised] = quote(who)
	} else if !claimed {
		return q.Content, nil
	}
	return json.Marshal(content)
}

// sameContent compares canonical content with what a client sent.
func sameContent(canonical, sent []byte) bool {
	made, err := matrix.CanonicalJSON(sent)
	return err == nil && bytes.Equal(canonical, made)
}

// Redact takes away an event's content. Spec: client-server-api/#redactions
func (s *Service) Redact(ctx context.Context, q SendRequest, target matrix.EventID, reason string) (matrix.EventID, error) {
	content := map[string]string{}
	if reason != "" {
		content["reason"] = reason
	}
	if q.Room.Version().RedactsInContent {
		content["redacts"] = string(target)
	}
	q.Type = "m.room.redaction"
	q.Content, _ = json.Marshal(content)
	return s.redact(ctx, q, target, q.draft())
}

// sendRedaction takes a redaction that came as an ordinary event, with its target in the content.
func (s *Service) sendRedaction(ctx context.Context, q SendRequest, d Draft) (matrix.EventID, error) {
	var c struct {
		Redacts matrix.EventID `json:"redacts"`
	}
	if err := matrix.Decode(q.Content, &c); err != nil || c.Redacts == "" {
		return "", matrix.BadJSON("A redaction names the event to be redacted in \"redacts\".")
	}
	return s.redact(ctx, q, c.Redacts, d)
}

// redact checks what the authorisation rules leave to the server: from room version 3 on they let any redaction pass,
// and it takes effect only with the power to redact or on an event of one's own. Spec: rooms/v3/#handling-redactions
func (s *Service) redact(ctx context.Context, q SendRequest, target matrix.EventID, d Draft) (matrix.EventID, error) {
	d.Redacts = target
	// Why first: a stranger must not learn which events there are.
	if m, err := s.standingOf(ctx, q.Room, q.Sender); err != nil || m.Membership != storage.MemberJoin {
		return s.sentBefore(ctx, q.Txn, errors.Join(err, unlessFailed(err, notInRoom())))
	}
	e, err := s.EventByID(ctx, q.Room, target)
	if isNotFound(err) && !s.mayBeElsewhere(ctx, q.Room) {
		return "", matrix.NotFound("The event to be redacted is not known here.")
	}
	if err != nil && !isNotFound(err) {
		return "", err
	}
	sent, err := s.Compose(ctx, q.Room, func(v *View) ([]Draft, error) {
		if e == nil || e.Sender != q.Sender {
			auth, err := v.AuthState(ctx, q.Sender, "m.room.redaction", nil, q.Content)
			if err != nil {
				return nil, err
			}
			if authrules.PowerLevelOf(auth, q.Sender) < authrules.RedactPower(auth) {
				return nil, matrix.Forbidden("You may only redact your own events in this room.")
			}
		}
		return []Draft{d}, nil
	})
	if err != nil {
		return s.sentBefore(ctx, q.Txn, err)
	}
	return sent[0].ID, nil
}

// mayBeElsewhere reports whether a room has events that are not known here, since other servers are in it.
func (s *Service) mayBeElsewhere(ctx context.Context, r *Room) bool {
	if !s.opts.Federated {
		return false
	}
	names, err := s.Servers(ctx, r)
	return err == nil && len(names) > 0
}
