package admin

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"rempart/core/media"
	"rempart/internal/matrix"
	"rempart/storage"
)

// mediaStep is how many files one step of a deletion looks at.
const mediaStep = 200

// address is an mxc URI within an event's JSON.
var address = regexp.MustCompile(`mxc://([^/"\\\s]+)/([A-Za-z0-9_-]+)`)

// MediaOf lists what a user has uploaded.
func (s *Service) MediaOf(ctx context.Context, admin matrix.Caller, id matrix.UserID, p Page) ([]storage.MediaFile, int64, error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return nil, 0, err
	}
	return s.DB.QueryMediaOf(ctx, user.NID, p.Order, p.Backward, p.From, p.Limit)
}

// DeleteMediaOf deletes a page of what a user has uploaded and answers the ids.
func (s *Service) DeleteMediaOf(ctx context.Context, admin matrix.Caller, id matrix.UserID, p Page) ([]string, error) {
	list, _, err := s.MediaOf(ctx, admin, id, p)
	if err != nil {
		return nil, err
	}
	if err := s.Note(ctx, admin, "media.delete", string(id), map[string]any{"files": len(list)}); err != nil {
		return nil, err
	}
	out := []string{}
	for _, m := range list {
		if out, err = s.drop(ctx, m, out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// drop deletes a file and notes its id.
func (s *Service) drop(ctx context.Context, m storage.MediaFile, done []string) ([]string, error) {
	err := s.Files.Delete(ctx, media.Address{Origin: m.Origin, ID: m.ID})
	switch {
	case matrix.HasCode(err, matrix.CodeNotFound): // gone meanwhile
	case err != nil:
		return done, err
	default:
		done = append(done, m.ID)
	}
	return done, nil
}

// file finds a file that the administrator's organisation may see: of its own, or a copy of another server's.
func (s *Service) file(ctx context.Context, admin matrix.Caller, a media.Address) (storage.MediaFile, error) {
	m, err := s.DB.FindMediaFile(ctx, a.Origin, a.ID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && m.Tenant != 0 && m.Tenant != admin.Tenant {
		err = matrix.NotFound("Unknown media")
	}
	return m, err
}

// MediaFile reads what is known of a file.
func (s *Service) MediaFile(ctx context.Context, admin matrix.Caller, a media.Address) (storage.MediaFile, error) {
	return s.file(ctx, admin, a)
}

// DeleteMedia deletes one file of ours.
func (s *Service) DeleteMedia(ctx context.Context, admin matrix.Caller, a media.Address) error {
	if !s.Accounts.Local(a.Origin) {
		return matrix.InvalidParam("Can only delete local media")
	}
	if _, err := s.file(ctx, admin, a); err != nil {
		return err
	}
	if err := s.Note(ctx, admin, "media.delete", a.String(), nil); err != nil {
		return err
	}
	return s.Files.Delete(ctx, a)
}

// OldMedia says which files are to be deleted: those last used before a time, and larger than a size. With KeepProfiles the
// pictures of users and rooms stay. Remote files are copies of other servers' files, in the place of our own.
type OldMedia struct {
	Before, Larger       int64
	KeepProfiles, Remote bool
}

// DeleteOldMedia deletes files and answers their ids. It ends early with the request, and may be repeated.
func (s *Service) DeleteOldMedia(ctx context.Context, admin matrix.Caller, q OldMedia) ([]string, error) {
	switch {
	case q.Before < 0 || q.Larger < 0:
		return nil, matrix.InvalidParam("before_ts and size_gt must not be below 0.")
	case q.Before < 30000000000: // a number of seconds, or from before 1970-12-14
		return nil, matrix.InvalidParam("before_ts is from the year 1970: it must be in milliseconds.")
	}
	if err := s.Note(ctx, admin, "media.delete-old", "", map[string]any{"before": q.Before, "larger": q.Larger, "remote": q.Remote}); err != nil {
		return nil, err
	}
	keep := map[string]bool{}
	if q.KeepProfiles && !q.Remote {
		var err error
		if keep, err = s.pictures(ctx, admin); err != nil {
			return nil, err
		}
	}
	b := storage.MediaBefore{Tenant: admin.Tenant, Before: q.Before, Larger: q.Larger, Remote: q.Remote, Limit: mediaStep}
	if q.Remote {
		b.Tenant, b.Larger = 0, -1
	}
	out := []string{}
	for {
		list, err := s.DB.ListMediaBefore(ctx, b)
		if err != nil || len(list) == 0 {
			return out, err
		}
		for _, m := range list {
			if keep[media.Address{Origin: m.Origin, ID: m.ID}.String()] {
				continue
			}
			if out, err = s.drop(ctx, m, out); err != nil {
				return out, err
			}
		}
		b.After = list[len(list)-1].Media
	}
}

// pictures are the addresses that show users and rooms.
func (s *Service) pictures(ctx context.Context, admin matrix.Caller) (map[string]bool, error) {
	out := map[string]bool{}
	urls, err := s.DB.ListAvatars(ctx, admin.Tenant)
	if err != nil {
		return nil, err
	}
	for _, u := range urls {
		out[u] = true
	}
	key, err := s.DB.FindStateKeyNID(ctx, matrix.StateTuple{Type: "m.room.avatar"})
	if errors.Is(err, storage.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := s.DB.ListAllRooms(ctx)
	if err != nil {
		return nil, err
	}
	rooms := make([]int64, len(all))
	for i := range all {
		rooms[i] = all[i].NID
	}
	return out, s.DB.EachCurrent(ctx, key, rooms, func(_ int64, body []byte) {
		for _, u := range address.FindAllString(string(body), -1) {
			out[u] = true
		}
	})
}

// MediaIn lists the files that a room's unencrypted events name: ours and those of other servers.
func (s *Service) MediaIn(ctx context.Context, admin matrix.Caller, id matrix.RoomID) (local, remote []media.Address, err error) {
	r, err := s.Room(ctx, admin, id)
	if err != nil {
		return nil, nil, err
	}
	seen := map[media.Address]bool{}
	err = s.DB.EachRoomJSON(ctx, r.NID(), func(body []byte) {
		for _, m := range address.FindAllSubmatch(body, -1) {
			seen[media.Address{Origin: matrix.ServerName(m[1]), ID: string(m[2])}] = true
		}
	})
	for a := range seen {
		if s.Accounts.Local(a.Origin) {
			local = append(local, a)
		} else {
			remote = append(remote, a)
		}
	}
	for _, list := range [][]media.Address{local, remote} {
		slices.SortFunc(list, func(a, b media.Address) int { return strings.Compare(a.String(), b.String()) })
	}
	return local, remote, err
}

// Quarantine locks a file away from everybody, with all others of the same content, or gives it back.
func (s *Service) Quarantine(ctx context.Context, admin matrix.Caller, a media.Address, on bool) error {
	m, err := s.file(ctx, admin, a)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil // nothing is here that could be served
	}
	if err != nil {
		return err
	}
	by, act := string(admin.User), "media.quarantine"
	if !on {
		by, act = "", "media.unquarantine"
	}
	if on && m.Protected {
		return nil
	}
	c := &storage.Change{}
	c.Guard(storage.QuarantineMedia(a.Origin, a.ID, by).OrElse(matrix.NotFound("Unknown media")))
	if len(m.Digest) > 0 {
		c.Guard(storage.QuarantineTwins(m.Tenant, m.Digest, by))
	}
	return s.act(ctx, c, admin, act, a.String(), nil)
}

// QuarantineRoom locks away what a room's unencrypted events name, and tells how many files it were.
func (s *Service) QuarantineRoom(ctx context.Context, admin matrix.Caller, id matrix.RoomID) (int64, error) {
	local, remote, err := s.MediaIn(ctx, admin, id)
	if err != nil {
		return 0, err
	}
	c := &storage.Change{}
	counts := make([]int64, len(local)+len(remote))
	for i, a := range append(local, remote...) {
		c.Guard(storage.QuarantineUnprotected(a.Origin, a.ID, string(admin.User), &counts[i]))
	}
	if err := s.act(ctx, c, admin, "media.quarantine-room", string(id), nil); err != nil {
		return 0, err
	}
	n := int64(0)
	for _, one := range counts {
		n += min(one, 1) // a guard may run twice
	}
	return n, nil
}

// QuarantineUser locks away what a user has uploaded, and tells how many files it were.
func (s *Service) QuarantineUser(ctx context.Context, admin matrix.Caller, id matrix.UserID) (n int64, err error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return 0, err
	}
	c := &storage.Change{}
	c.Guard(storage.QuarantineOf(user.NID, string(admin.User), &n))
	return n, s.act(ctx, c, admin, "media.quarantine-user", string(id), nil)
}

// Protect lets quarantines of rooms and users pass over a file of ours, or takes that back.
func (s *Service) Protect(ctx context.Context, admin matrix.Caller, id string, on bool) error {
	a := media.Address{Origin: admin.Server, ID: id}
	if _, err := s.file(ctx, admin, a); err != nil {
		return err
	}
	c := &storage.Change{}
	act := "media.protect"
	if !on {
		act = "media.unprotect"
	}
	c.Guard(storage.ProtectMedia(a.Origin, a.ID, on).OrElse(matrix.NotFound("Unknown media")))
	return s.act(ctx, c, admin, act, a.String(), nil)
}

// MediaUse lists how much users have uploaded.
func (s *Service) MediaUse(ctx context.Context, admin matrix.Caller, term string, from, until int64, p Page) ([]storage.MediaUse, int64, error) {
	return s.DB.ListMediaUse(ctx, storage.MediaUseQuery{Tenant: admin.Tenant, From: from, Until: until, Like: escapeLike(term),
		Order: p.Order, Backward: p.Backward, Offset: p.From, Limit: p.Limit})
}

// LargestRooms estimates what the largest rooms take in the database.
func (s *Service) LargestRooms(ctx context.Context, admin matrix.Caller) ([]storage.RoomSize, error) {
	return s.DB.ListLargestRooms(ctx, s.sees(admin), 10)
}
