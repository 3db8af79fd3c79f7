// Package calls holds the rules of calls: who may be in one, and by which names the media server knows rooms and people.
//
// sfu and sfu/signal call it at each token, at each connection, and again and again while somebody is connected. It keeps
// who stands behind a name, since those names are hashes; it speaks with nobody.
package calls

import (
	"context"
	"errors"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// grantLife is how long it is kept who somebody is after his last token. Why so long: a call may last days, and only
// connecting anew asks for a token.
const grantLife = 30 * 24 * time.Hour

// Judge decides, besides membership, whether a user may be in the calls of a room: whether the room is frozen, say, or his
// server is admitted. It answers nil, or why not.
type Judge func(ctx context.Context, user matrix.UserID, room matrix.RoomID) error

// Options say what the service rests on.
type Options struct {
	DB    *storage.DB
	Rooms *rooms.Service
	// Judge is asked after membership; nil admits every member.
	Judge Judge
	// Clock is the time; default time.Now.
	Clock func() time.Time
}

// Service knows who may be in calls. Its methods may be called concurrently.
type Service struct{ Options }

// New makes the service.
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Service{o}
}

// Participant is somebody in a call, as this server knows him.
type Participant struct {
	// Alias and Identity are his names at the media server.
	Alias, Identity string
	Room            matrix.RoomID
	User            matrix.UserID
	Device          matrix.DeviceID
}

// errOutside is the one answer to whoever may not be in a call: it does not tell whether the room exists.
func errOutside() *matrix.Error {
	return matrix.Forbidden("Only members of the room can take part in its calls.")
}

// Admit reports whether a user may be in the calls of a room now: nil, or why not.
func (s *Service) Admit(ctx context.Context, user matrix.UserID, id matrix.RoomID) error {
	account, err := s.DB.FindUser(ctx, user)
	switch {
	case errors.Is(err, storage.ErrNotFound): // of another server
	case err != nil:
		return err
	case account.Flags&(storage.UserDeactivated|storage.UserLocked|storage.UserExpired|storage.UserSuspended) != 0:
		return matrix.Forbidden("This account cannot take part in calls at the moment.")
	}
	room, err := s.Rooms.Room(ctx, id)
	if matrix.HasCode(err, matrix.CodeNotFound) || matrix.HasCode(err, matrix.CodeForbidden) {
		return errOutside()
	}
	if err != nil {
		return err
	}
	standing, err := s.Rooms.Standing(ctx, room, user)
	if err != nil {
		return err
	}
	if standing.Membership != storage.MemberJoin {
		return errOutside()
	}
	if s.Judge == nil {
		return nil
	}
	return s.Judge(ctx, user, id)
}

// Remember keeps who stands behind a name, before anybody is given a token for it.
func (s *Service) Remember(ctx context.Context, p Participant) error {
	now := s.Clock()
	c := &storage.Change{}
	c.Guard(storage.PruneCallGrants(now.UnixMilli()))
	c.Add(&storage.CallGrantRow{CallGrant: storage.CallGrant{Alias: p.Alias, Identity: p.Identity, Room: p.Room, User: p.User,
		Device: p.Device, Expires: now.Add(grantLife).UnixMilli()}})
	return s.DB.Commit(ctx, c)
}

// Find tells who stands behind a name; M_NOT_FOUND when nobody was given a token for it.
func (s *Service) Find(ctx context.Context, alias, identity string) (Participant, error) {
	g, err := s.DB.FindCallGrant(ctx, alias, identity)
	if errors.Is(err, storage.ErrNotFound) {
		return Participant{}, matrix.NotFound("Nobody was given a token by that name.")
	}
	return Participant{Alias: alias, Identity: identity, Room: g.Room, User: g.User, Device: g.Device}, err
}
