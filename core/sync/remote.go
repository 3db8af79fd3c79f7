package sync

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// The ephemeral messages between servers. Spec: server-server-api/#edus
const (
	eduTyping   = "m.typing"
	eduReceipt  = "m.receipt"
	eduPresence = "m.presence"
	eduDevices  = "m.device_list_update"
)

// Bounds of what one message of another server may say.
const (
	maxPushes         = 100
	maxRemoteReceipts = 1000
)

type typingEDU struct {
	Room   matrix.RoomID `json:"room_id"`
	User   matrix.UserID `json:"user_id"`
	Typing bool          `json:"typing"`
}

type receiptData struct {
	TS     int64  `json:"ts"`
	Thread string `json:"thread_id,omitempty"`
}

type receiptOf struct {
	Data   receiptData      `json:"data"`
	Events []matrix.EventID `json:"event_ids"`
}

// receiptEDU is room → m.read → user → receipt.
type receiptEDU map[matrix.RoomID]map[string]map[matrix.UserID]receiptOf

type presencePush struct {
	User    matrix.UserID `json:"user_id"`
	State   string        `json:"presence"`
	Message string        `json:"status_msg,omitempty"`
	Ago     int64         `json:"last_active_ago"`
	Active  bool          `json:"currently_active"`
}

type presenceEDU struct {
	Push []presencePush `json:"push"`
}

// tellRoom tells the other servers in a room.
func (s *Service) tellRoom(ctx context.Context, r *rooms.Room, from matrix.ServerName, key, typ string, content any) {
	if s.outside == nil {
		return
	}
	servers, err := s.rooms.Servers(ctx, r)
	if err == nil && s.border != nil {
		var within []matrix.ServerName
		within, err = s.rooms.Within(ctx, r, from)
		servers = slices.Concat(servers, within)
	}
	if err == nil && len(servers) > 0 {
		s.tell(from, servers, key, typ, content)
	}
}

func (s *Service) tell(from matrix.ServerName, to []matrix.ServerName, key, typ string, content any) {
	raw, err := json.Marshal(content)
	if err != nil {
		s.log.Error("tell other servers", "error", err)
		return
	}
	s.outside.Tell(from, to, key, core.EDU{Type: typ, Content: raw})
}

// tellReceipt tells the other servers in a room how far a user has read.
func (s *Service) tellReceipt(ctx context.Context, r *rooms.Room, user matrix.UserID, row *storage.ReceiptRow) {
	if row.Type != readPublic {
		return
	}
	of := receiptOf{receiptData{row.TS, row.Thread}, []matrix.EventID{row.EventID}}
	s.tellRoom(ctx, r, user.Server(), "r "+string(r.ID())+" "+string(user)+" "+row.Thread, eduReceipt,
		receiptEDU{r.ID(): {readPublic: {user: of}}})
}

// tellPresence tells the servers with whose users a user shares rooms of his presence.
func (s *Service) tellPresence(ctx context.Context, nid int64, p presence) {
	if s.outside == nil {
		return
	}
	servers, err := s.rooms.ServersOf(ctx, nid)
	if err == nil && s.border != nil {
		var within []matrix.ServerName
		within, err = s.rooms.WithinOf(ctx, nid, p.user.Server())
		servers = slices.Concat(servers, within)
	}
	if err != nil || len(servers) == 0 {
		return
	}
	push := presencePush{User: p.user, State: p.state, Message: p.message, Active: p.state == online}
	if !p.active.IsZero() {
		push.Ago = max(0, s.now().Sub(p.active).Milliseconds())
	}
	s.tell(p.user.Server(), servers, "p "+string(p.user), eduPresence, presenceEDU{[]presencePush{push}})
}

// hears reports whether the user may hear of something that a user of another server of this installation does.
func (b *build) hears(user matrix.UserID, typ string) bool {
	return b.s.border == nil || b.s.border.Hears(b.ctx, user.Server(), b.c.User.Server(), typ)
}

// HandleTyping takes what another server says of who types. Spec: server-server-api/#typing-notifications
func (s *Service) HandleTyping(ctx context.Context, origin matrix.ServerName, content json.RawMessage) error {
	var t typingEDU
	if matrix.Decode(content, &t) != nil || t.User.Server() != origin {
		return nil
	}
	room, _, err := s.remoteMember(ctx, origin, t.Room, t.User)
	if err != nil || room == nil {
		return err
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.setTyping(room.NID(), t.User, t.Typing, s.now().Add(anyTyping))
	return nil
}

// remoteMember finds a room and a member of it whose server the room admits; a nil room when there is none.
func (s *Service) remoteMember(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, user matrix.UserID) (*rooms.Room, int64, error) {
	room, err := s.rooms.Room(ctx, id)
	if err != nil {
		return nil, 0, unlessRefused(err)
	}
	nid, err := s.db.FindUserNID(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if err := s.memberOf(ctx, nid, room.NID()); err != nil {
		return nil, 0, unlessRefused(err)
	}
	if ok, err := s.rooms.Admits(ctx, room, origin); err != nil || !ok {
		return nil, 0, err
	}
	return room, nid, nil
}

// unlessRefused drops errors of the protocol: what another server says that makes no sense is passed over.
func unlessRefused(err error) error {
	var refused *matrix.Error
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// HandleReceipts takes receipts of users of another server. Spec: server-server-api/#receipts
func (s *Service) HandleReceipts(ctx context.Context, origin matrix.ServerName, content json.RawMessage) error {
	var all receiptEDU
	if matrix.Decode(content, &all) != nil {
		return nil
	}
	change, tried := &storage.Change{}, 0
	for id, types := range all {
		for user, r := range types[readPublic] {
			if user.Server() != origin || len(r.Events) == 0 || tried >= maxRemoteReceipts {
				continue
			}
			tried++ // Why all, and not those that are kept: to find out costs the most
			if err := s.remoteReceipt(ctx, change, origin, id, user, &r); err != nil {
				return err
			}
		}
	}
	if len(change.Rows) == 0 {
		return nil
	}
	return s.db.Commit(ctx, change)
}

func (s *Service) remoteReceipt(ctx context.Context, change *storage.Change, origin matrix.ServerName, id matrix.RoomID, user matrix.UserID, r *receiptOf) error {
	room, nid, err := s.remoteMember(ctx, origin, id, user)
	if err != nil || room == nil {
		return err
	}
	event, err := s.rooms.EventByID(ctx, room, r.Events[0])
	if err != nil {
		return unlessRefused(err)
	}
	q := Receipt{Room: id, Type: readPublic, Event: event.ID, Thread: r.Data.Thread}
	if behind, err := s.behind(ctx, nid, room.NID(), &q, event.Row.Pos); err != nil || behind || len(q.Thread) > matrix.MaxIDLength {
		return err
	}
	row := &storage.ReceiptRow{Room: room.NID(), User: nid, Type: q.Type, Thread: q.Thread, EventID: q.Event,
		EventPos: event.Row.Pos, Notify: event.Row.Notify, TNotify: event.Row.TNotify, TS: r.Data.TS}
	row.At.Live = change.Live(storage.Live{Kind: storage.KindReceipt, Room: room.NID(), User: nid, Value: row}) + 1
	change.Add(row)
	return nil
}

// HandlePresence takes the presence of users of another server. Spec: server-server-api/#presence
func (s *Service) HandlePresence(ctx context.Context, origin matrix.ServerName, content json.RawMessage) error {
	var in presenceEDU
	if matrix.Decode(content, &in) != nil {
		return nil
	}
	for _, push := range in.Push[:min(len(in.Push), maxPushes)] {
		if push.User.Server() != origin || !slices.Contains([]string{online, unavailable, offline}, push.State) || len(push.Message) > 1024 {
			continue
		}
		nid, err := s.db.FindUserNID(ctx, push.User)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		u, err := s.remoteUser(ctx, nid, push.User)
		if err != nil {
			return err
		}
		s.hub.mu.Lock()
		ago := time.Duration(min(max(push.Ago, 0), int64(time.Hour/time.Millisecond)*24*365)) * time.Millisecond
		s.hub.setPresence(u, push.State, &push.Message, s.now().Add(-ago))
		s.hub.mu.Unlock()
	}
	return nil
}

// remoteUser is a user of another server as presence needs him: with his rooms.
func (s *Service) remoteUser(ctx context.Context, nid int64, id matrix.UserID) (*hubUser, error) {
	rows, err := s.db.ListJoinedPositions(ctx, nid)
	if err != nil {
		return nil, err
	}
	u := &hubUser{nid: nid, id: id, remote: true}
	for _, row := range rows {
		u.rooms = append(u.rooms, joinedRoom{row.Room, row.Pos})
	}
	return u, nil
}
