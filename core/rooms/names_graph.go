package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// noteName keeps for the user directory what a user of another server is called. Users of ours are called as their
// accounts say.
func (b *builder) noteName(ctx context.Context, user int64, c keyChange, is storage.Membership) error {
	if is != storage.MemberJoin {
		return nil
	}
	if _, local := b.s.opts.Keys.SigningKey(matrix.UserID(c.tuple.Key).Server()); local {
		return nil
	}
	e, err := b.event(ctx, c.new)
	if err != nil {
		return err
	}
	b.change.Add(&storage.RemoteNameRow{User: user, DisplayName: textIn(e.Content, "displayname"), AvatarURL: textIn(e.Content, "avatar_url")})
	return nil
}
