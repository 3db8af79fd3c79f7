package clientapi

import (
	"context"
	"errors"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// inherit lets a user's settings follow him into a room that replaces another. It may be repeated.
// Spec: client-server-api/#room-upgrades
func (d Deps) inherit(ctx context.Context, c matrix.Caller, room *rooms.Room) error {
	old, err := d.Rooms.Predecessor(ctx, room, c.User)
	if err != nil || old == nil {
		return err
	}
	return errors.Join(d.Push.Inherit(ctx, &c, old.ID(), room.ID()), d.Users.InheritTags(ctx, c, old.NID(), room.NID()))
}
