package admin

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Deletion says how a room is to be deleted.
type Deletion struct {
	Room matrix.RoomID `json:"room"`
	// NewRoomUser, of this server, makes a room into which the members are brought; "" makes none.
	NewRoomUser matrix.UserID `json:"new_room_user,omitempty"`
	RoomName    string        `json:"room_name,omitempty"`
	Message     string        `json:"message,omitempty"`
	// Block keeps everybody of this server from entering the room again.
	Block bool `json:"block"`
	// Purge deletes all traces of the room; with Force even if somebody could not be made to leave.
	Purge bool `json:"purge"`
	Force bool `json:"force"`
	// NID is the room's number, 0 when it is not known here.
	NID int64 `json:"nid"`
}

// Deleted is what became of a room and of those who were in it.
type Deleted struct {
	Kicked    []matrix.UserID    `json:"kicked_users"`
	NotKicked []matrix.UserID    `json:"failed_to_kick_users"`
	Aliases   []matrix.RoomAlias `json:"local_aliases"`
	NewRoom   *matrix.RoomID     `json:"new_room_id"`
}

// What a room into which people are brought says, unless it is told otherwise.
const (
	newRoomName    = "Content Violation Notification"
	newRoomMessage = "Sharing illegal content on this server is not permitted and rooms in violation will be blocked."
)

// DeleteRoom begins to delete a room and returns the id of the task.
func (s *Service) DeleteRoom(ctx context.Context, admin matrix.Caller, d Deletion) (string, error) {
	r, err := s.ownRoom(ctx, admin, d.Room)
	if matrix.HasCode(err, matrix.CodeNotFound) && d.Block {
		err = nil // a room that is not known here can be blocked all the same
	}
	if err != nil {
		return "", err
	}
	if d.NewRoomUser != "" {
		if _, err := s.Accounts.Managed(ctx, admin, d.NewRoomUser); err != nil {
			return "", err
		}
	}
	if r != nil {
		d.NID = r.NID()
	}
	busy, err := s.under(ctx, admin, ActionDelete, string(d.Room))
	if err != nil {
		return "", err
	}
	if busy {
		return "", matrix.NewError(400, matrix.CodeUnknown, "This room is being deleted already.")
	}
	return s.start(ctx, admin, ActionDelete, string(d.Room), d)
}

// deleteRoom is the task: everybody of ours leaves, and then the room goes. After a crash it goes on where it was.
func (t *task) deleteRoom(ctx context.Context) error {
	var d Deletion
	if err := matrix.Decode(t.Body, &d); err != nil {
		return err
	}
	out := Deleted{Kicked: []matrix.UserID{}, NotKicked: []matrix.UserID{}, Aliases: []matrix.RoomAlias{}}
	if len(t.Result) > 0 {
		if err := matrix.Decode(t.Result, &out); err != nil {
			return err
		}
	}
	if d.Block {
		c := &storage.Change{}
		c.Add(&storage.BlockedRoomRow{BlockedRoom: storage.BlockedRoom{Room: d.Room, Admin: t.Admin, TS: t.s.nowMS()}})
		if err := t.s.DB.Commit(ctx, c); err != nil {
			return err
		}
	}
	r, err := t.s.Graph.Room(ctx, d.Room)
	known := err == nil && r.NID() == d.NID
	if err != nil && !matrix.HasCode(err, matrix.CodeNotFound) {
		return err
	}
	if known {
		if err := t.empty(ctx, r, &d, &out); err != nil {
			return err
		}
	}
	if err := t.keep(ctx, out); err != nil {
		return err
	}
	if !d.Purge || d.NID == 0 {
		return nil
	}
	if len(out.NotKicked) > 0 && !d.Force {
		return matrix.Conflict("Some users could not be made to leave the room, so that it was not purged.")
	}
	return t.s.Graph.Remove(ctx, d.NID, d.Room, func() error { return t.keep(ctx, nil) })
}

// empty brings our users out of a room, and into the new one if there is to be one.
func (t *task) empty(ctx context.Context, r *rooms.Room, d *Deletion, out *Deleted) error {
	if err := t.newRoom(ctx, d, out); err != nil {
		return err
	}
	if err := t.s.Graph.Publish(ctx, r, false); err != nil {
		return err
	}
	for _, m := range []storage.Membership{storage.MemberJoin, storage.MemberInvite, storage.MemberKnock} {
		members, err := t.s.DB.ListLocalMembers(ctx, r.NID(), m)
		if err != nil {
			return err
		}
		for i, user := range members {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := t.move(ctx, r, user, m == storage.MemberJoin, out); err != nil {
				t.s.Log.Warn("a user does not leave a room that is deleted", "room", r.ID(), "user", user, "error", err)
				out.NotKicked = append(out.NotKicked, user)
			} else {
				out.Kicked = append(out.Kicked, user)
			}
			if i%20 == 19 {
				if err := t.keep(ctx, out); err != nil {
					return err
				}
			}
		}
	}
	return t.aliases(ctx, r, out)
}

// move makes one user leave, and enter the new room.
func (t *task) move(ctx context.Context, r *rooms.Room, user matrix.UserID, joined bool, out *Deleted) error {
	err := t.s.Graph.Leave(ctx, rooms.MembershipChange{Room: r, Sender: user, Target: user})
	if err != nil {
		err = t.s.Graph.LeaveVia(ctx, rooms.Entry{Room: r.ID(), User: user})
	}
	if err != nil || out.NewRoom == nil || !joined {
		return err
	}
	next, err := t.s.Graph.Room(ctx, *out.NewRoom)
	if err != nil {
		return err
	}
	return t.s.Graph.Join(ctx, rooms.MembershipChange{Room: next, Sender: user, Target: user})
}

// newRoom makes the room into which people are brought, once.
func (t *task) newRoom(ctx context.Context, d *Deletion, out *Deleted) error {
	if d.NewRoomUser == "" || out.NewRoom != nil {
		return nil
	}
	user, err := t.s.Accounts.GetUser(ctx, d.NewRoomUser)
	if err != nil {
		return err
	}
	q := &rooms.CreateRequest{Preset: "public_chat", Name: d.RoomName, PowerLevelContentOverride: map[string]json.RawMessage{"users_default": json.RawMessage(`-10`)}}
	if q.Name == "" {
		q.Name = newRoomName
	}
	c := matrix.Caller{User: user.ID, UserNID: user.NID, Tenant: user.Tenant, Server: user.ID.Server()}
	made, err := t.s.Graph.Create(ctx, c, q)
	if err != nil {
		return err
	}
	id := made.ID()
	out.NewRoom = &id
	if err := t.keep(ctx, out); err != nil {
		return err
	}
	text := d.Message
	if text == "" {
		text = newRoomMessage
	}
	content, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": text})
	if err != nil {
		return err
	}
	_, err = t.s.Graph.Send(ctx, rooms.SendRequest{Room: made, Sender: user.ID, Type: "m.room.message", Content: content})
	return err
}

// aliases lists the room's aliases of ours, and gives them to the new room.
func (t *task) aliases(ctx context.Context, r *rooms.Room, out *Deleted) error {
	found, err := t.s.DB.ListAliases(ctx, r.NID())
	if err != nil {
		return err
	}
	if len(found) > 0 {
		out.Aliases = found
	}
	if out.NewRoom == nil {
		return nil
	}
	next, err := t.s.Graph.Room(ctx, *out.NewRoom)
	if err != nil {
		return errors.Join(errors.New("the new room is gone"), err)
	}
	c := &storage.Change{}
	c.Guard(storage.MoveAliases(r.NID(), next.NID()))
	c.Live(storage.Live{Kind: storage.KindRoom, Room: r.NID()})
	c.Live(storage.Live{Kind: storage.KindRoom, Room: next.NID()})
	return t.s.DB.Commit(ctx, c)
}
