package admin

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// speaker is the account in whose name a server speaks to its users.
const speaker = "_server"

// noticeTag marks the room in which it does. Spec: client-server-api/#server-notices
const noticeTag = "m.server_notice"

// Notice is what the server says to a user.
type Notice struct {
	User     matrix.UserID
	Type     string
	StateKey *string
	Content  json.RawMessage
	// TxnID makes a repeated request known again; "" for none.
	TxnID string
}

// Notify says something to a user in a room of its own, into which he is asked if he is not in it.
// Spec: client-server-api/#server-notices
func (s *Service) Notify(ctx context.Context, admin matrix.Caller, n Notice) (matrix.EventID, error) {
	user, err := s.Accounts.Managed(ctx, admin, n.User)
	if err != nil {
		return "", err
	}
	if user.Is(storage.UserDeactivated) {
		return "", matrix.UserDeactivated()
	}
	if n.Type == "" {
		n.Type = "m.room.message"
	}
	by, err := s.speaker(ctx, admin)
	if err != nil {
		return "", err
	}
	room, err := s.noticeRoom(ctx, by, user)
	if err != nil {
		return "", err
	}
	if err := s.Note(ctx, admin, "notice.send", string(n.User), nil); err != nil {
		return "", err
	}
	q := rooms.SendRequest{Room: room, Sender: by.User, Type: n.Type, StateKey: n.StateKey, Content: n.Content}
	if n.TxnID != "" {
		device := admin.DeviceNID
		if device == 0 {
			device = -admin.UserNID
		}
		q.Txn = rooms.NewTransaction(device, room.ID(), "server_notice", n.TxnID)
	}
	return s.Graph.Send(ctx, q)
}

// Tell says something to a user without being asked by an administrator: what his server has to tell him about itself.
func (s *Service) Tell(ctx context.Context, userNID int64, text string) error {
	id, err := s.DB.GetUserID(ctx, userNID)
	if err != nil {
		return err
	}
	user, err := s.DB.FindUser(ctx, id)
	if err != nil || user.Is(storage.UserDeactivated) {
		return err
	}
	by, err := s.speaker(ctx, matrix.Caller{Tenant: user.Tenant, Server: id.Server()})
	if err != nil {
		return err
	}
	room, err := s.noticeRoom(ctx, by, user)
	if err != nil {
		return err
	}
	content, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": text})
	if err != nil {
		return err
	}
	_, err = s.Graph.Send(ctx, rooms.SendRequest{Room: room, Sender: by.User, Type: "m.room.message", Content: content})
	return err
}

// speaker is the server's own account, made at its first notice: nobody can log in to it.
func (s *Service) speaker(ctx context.Context, admin matrix.Caller) (matrix.Caller, error) {
	id := matrix.UserID("@" + speaker + ":" + string(admin.Server))
	user, err := s.DB.FindUser(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		user = storage.User{Tenant: admin.Tenant, ID: id, Created: s.nowMS(), DisplayName: "Server"}
		if user.NID, err = s.DB.UserNID(ctx, id); err != nil {
			return matrix.Caller{}, err
		}
		c := &storage.Change{}
		c.Guard(storage.InsertUser(user))
		if err = s.DB.Commit(ctx, c); errors.Is(err, storage.ErrGuard) {
			err = nil // another notice came first
		}
	}
	return matrix.Caller{User: id, UserNID: user.NID, Tenant: admin.Tenant, Server: admin.Server}, err
}

// noticeRoom finds the room in which the server speaks to a user, or makes it, and asks him in.
func (s *Service) noticeRoom(ctx context.Context, by matrix.Caller, user storage.User) (*rooms.Room, error) {
	s.speaking.Lock()
	defer s.speaking.Unlock()
	nid, err := s.DB.FindNoticeRoom(ctx, user.NID)
	if errors.Is(err, storage.ErrNotFound) {
		nid, err = s.makeNoticeRoom(ctx, by, user)
	}
	if err != nil {
		return nil, err
	}
	room, err := s.Graph.RoomByNID(ctx, nid)
	if err != nil {
		return nil, err
	}
	m, err := s.Graph.Standing(ctx, room, user.ID)
	if err != nil || m.Membership == storage.MemberJoin || m.Membership == storage.MemberInvite {
		return room, err
	}
	return room, s.Graph.Invite(ctx, rooms.MembershipChange{Room: room, Sender: by.User, Target: user.ID})
}

// makeNoticeRoom makes the room, in which only the server may speak, and marks it for the user.
func (s *Service) makeNoticeRoom(ctx context.Context, by matrix.Caller, user storage.User) (int64, error) {
	q := &rooms.CreateRequest{Preset: "private_chat", Name: "Server Notices",
		CreationContent:           map[string]json.RawMessage{"m.federate": json.RawMessage(`false`)},
		PowerLevelContentOverride: map[string]json.RawMessage{"users_default": json.RawMessage(`-10`)},
	}
	room, err := s.Graph.Create(ctx, by, q)
	if err != nil {
		return 0, err
	}
	c := &storage.Change{}
	c.Add(&storage.NoticeRoomRow{User: user.NID, Room: room.NID()})
	if err := s.DB.Commit(ctx, c); err != nil {
		return 0, err
	}
	owner := matrix.Caller{User: user.ID, UserNID: user.NID, Tenant: user.Tenant}
	return room.NID(), s.Accounts.SetTag(ctx, owner, room.NID(), noticeTag, json.RawMessage(`{}`))
}
