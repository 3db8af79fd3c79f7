package users

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxDataType bounds the type of account data in bytes.
const maxDataType = 255

// SetAccountData sets a piece of the caller's own data, for one room or, with room 0, globally.
// Spec: client-server-api/#put_matrixclientv3useruseridaccount_datatype
func (s *Service) SetAccountData(ctx context.Context, c matrix.Caller, room int64, typ string, content json.RawMessage) error {
	if typ == "m.fully_read" || typ == "m.push_rules" && room == 0 {
		return matrix.NewError(http.StatusMethodNotAllowed, matrix.CodeBadJSON, "The server keeps "+typ+": set it by its own endpoint.")
	}
	if isNothing(content) {
		content = json.RawMessage("{}")
	}
	if len(typ) > maxDataType {
		return matrix.InvalidParam("The type of account data may have at most 255 bytes.")
	}
	return s.db.Commit(ctx, accountDataChange(c.UserNID, room, typ, content))
}

// accountDataChange sets a piece of account data.
func accountDataChange(user, room int64, typ string, content json.RawMessage) *storage.Change {
	change := &storage.Change{}
	live := change.Live(storage.Live{Kind: storage.KindAccountData, User: user, Room: room})
	change.Add(&storage.AccountDataRow{At: storage.At{Live: live + 1}, User: user, Room: room, Type: typ, Content: content})
	return change
}

// GetAccountData reads a piece of the caller's own data. Spec: client-server-api/#get_matrixclientv3useruseridaccount_datatype
func (s *Service) GetAccountData(ctx context.Context, c matrix.Caller, room int64, typ string) (json.RawMessage, error) {
	d, err := s.db.FindAccountData(ctx, c.UserNID, room, typ)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.NotFound("There is no account data of this type.")
	}
	if err == nil && isNothing(d.Content) {
		err = matrix.NotFound("There is no account data of this type any more.")
	}
	return d.Content, err
}

// isNothing reports whether a content is the empty object, which stands for data that was deleted. MSC3391
func isNothing(content json.RawMessage) bool {
	return len(content) >= 2 && len(content) < 64 && content[0] == '{' && len(bytes.TrimSpace(content[1:len(content)-1])) == 0
}

// tagsType is the account data that holds a room's tags. Spec: client-server-api/#room-tagging
const tagsType = "m.tag"

// maxTags bounds the tags of a room, maxTag the length of one.
const (
	maxTags = 100
	maxTag  = 255
)

// tags is the content of m.tag.
type tags struct {
	Tags map[string]json.RawMessage `json:"tags"`
}

// Tags reads the caller's tags of a room. Spec: client-server-api/#get_matrixclientv3useruseridroomsroomidtags
func (s *Service) Tags(ctx context.Context, c matrix.Caller, room int64) (json.RawMessage, error) {
	d, err := s.db.FindAccountData(ctx, c.UserNID, room, tagsType)
	if errors.Is(err, storage.ErrNotFound) {
		return json.RawMessage(`{"tags":{}}`), nil
	}
	return d.Content, err
}

// SetTag adds a tag to a room or replaces it; a nil content removes it.
// Spec: client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag
func (s *Service) SetTag(ctx context.Context, c matrix.Caller, room int64, tag string, content json.RawMessage) error {
	if len(tag) > maxTag {
		return matrix.InvalidParam("A tag may have at most 255 bytes.")
	}
	for {
		err := s.trySetTag(ctx, c, room, tag, content)
		if !errors.Is(err, storage.ErrGuard) { // another request changed the tags meanwhile: again
			return err
		}
	}
}

func (s *Service) trySetTag(ctx context.Context, c matrix.Caller, room int64, tag string, content json.RawMessage) error {
	was, err := s.db.FindAccountData(ctx, c.UserNID, room, tagsType)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	var t tags
	if was.Content != nil {
		_ = matrix.Decode(was.Content, &t) // Why no error: a client may have stored anything; it is replaced then
	}
	if t.Tags == nil {
		t.Tags = map[string]json.RawMessage{}
	}
	delete(t.Tags, tag)
	if content != nil {
		t.Tags[tag] = content
	}
	if len(t.Tags) > maxTags {
		return matrix.InvalidParam("A room may have at most 100 tags.")
	}
	now, err := json.Marshal(t)
	if err != nil {
		return matrix.BadJSON("The tag is not JSON.")
	}
	change := accountDataChange(c.UserNID, room, tagsType, now)
	change.Guard(storage.AccountDataIs(c.UserNID, room, tagsType, was.Content))
	return s.db.Commit(ctx, change)
}
