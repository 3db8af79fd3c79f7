package users

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds on profiles. Spec: client-server-api/#profiles: the whole profile stays under 64 KiB, a key within 255 bytes.
const (
	maxDisplayName  = 256
	maxAvatarURL    = 1000
	maxProfileKey   = 255
	maxProfileBytes = 64<<10 - 1
)

// Profile is what a user shows of himself: each field's JSON by its name.
type Profile map[string]json.RawMessage

// GetProfile reads a local user's profile; M_NOT_FOUND for users that this server does not know.
// Spec: client-server-api/#get_matrixclientv3profileuserid
func (s *Service) GetProfile(ctx context.Context, id matrix.UserID) (Profile, error) {
	user, err := s.db.FindUser(ctx, id)
	if errors.Is(err, storage.ErrNotFound) && s.exists(ctx, id) {
		user, err = s.db.FindUser(ctx, id)
	}
	if errors.Is(err, storage.ErrNotFound) || err == nil && user.Is(storage.UserDeactivated) {
		return nil, matrix.NotFound("This server knows no profile of that user.")
	}
	if err != nil {
		return nil, err
	}
	fields, err := s.db.ListProfileFields(ctx, user.NID)
	if err != nil {
		return nil, err
	}
	p := Profile{}
	for _, f := range fields {
		p[f.Name] = f.Value
	}
	if user.DisplayName != "" {
		p["displayname"], _ = json.Marshal(user.DisplayName) // a string always has a JSON form
	}
	if user.AvatarURL != "" {
		p["avatar_url"], _ = json.Marshal(user.AvatarURL)
	}
	return p, nil
}

// GetProfileField reads one field. Spec: client-server-api/#get_matrixclientv3profileuseridkeyname
func (s *Service) GetProfileField(ctx context.Context, id matrix.UserID, name string) (json.RawMessage, error) {
	if err := checkProfileKey(name); err != nil {
		return nil, err
	}
	p, err := s.GetProfile(ctx, id)
	if err != nil {
		return nil, err
	}
	return p.field(name)
}

// SetProfileField sets one field of the caller's own profile; JSON null removes it. Display name and avatar are written
// into his rooms as well. Spec: client-server-api/#put_matrixclientv3profileuseridkeyname
func (s *Service) SetProfileField(ctx context.Context, c matrix.Caller, id matrix.UserID, name string, value json.RawMessage) error {
	if id != c.User {
		return matrix.Forbidden("You can change only your own profile.")
	}
	if err := checkProfileKey(name); err != nil {
		return err
	}
	change := &storage.Change{}
	change.Live(storage.Live{Kind: storage.KindProfile, User: c.UserNID})
	if name != "displayname" && name != "avatar_url" {
		if err := s.setExtraField(ctx, change, c, name, value); err != nil {
			return err
		}
		return s.db.Commit(ctx, change)
	}
	text, err := profileText(name, value)
	if err != nil {
		return err
	}
	if name == "displayname" {
		change.Guard(storage.UpdateDisplayName(c.UserNID, text))
	} else {
		change.Guard(storage.UpdateAvatarURL(c.UserNID, text))
	}
	if err := s.addProfileJob(ctx, change, c); err != nil {
		return err
	}
	if err := s.db.Commit(ctx, change); err != nil {
		return err
	}
	s.wakePropagation()
	return nil
}

// profileText is the value of one of the two fields that are strings; "" removes it.
func profileText(name string, value json.RawMessage) (string, error) {
	var text string
	if err := matrix.Decode(value, &text); err != nil {
		return "", matrix.BadJSON("The profile field \"" + name + "\" must be a string.")
	}
	limit := maxDisplayName
	if name == "avatar_url" {
		limit = maxAvatarURL // Why its form is not checked: clients store other things there, and read them as strings
	}
	if len(text) > limit {
		return "", errProfileTooLarge()
	}
	return text, nil
}

func (s *Service) setExtraField(ctx context.Context, change *storage.Change, c matrix.Caller, name string, value json.RawMessage) error {
	if string(value) == "null" {
		change.Guard(storage.DeleteProfileField(c.UserNID, name))
		return nil
	}
	now, err := s.GetProfile(ctx, c.User)
	if err != nil {
		return err
	}
	now[name] = value
	whole, err := json.Marshal(now)
	if err != nil {
		return matrix.BadJSON("The profile field is not JSON.")
	}
	if len(whole) > maxProfileBytes {
		return errProfileTooLarge()
	}
	change.Add(&storage.ProfileFieldRow{User: c.UserNID, ProfileField: storage.ProfileField{Name: name, Value: value}})
	return nil
}

func errProfileTooLarge() *matrix.Error {
	return matrix.NewError(http.StatusBadRequest, matrix.CodeProfileTooLarge, "The profile, or this field of it, is too large.")
}

// checkProfileKey holds names of fields to the grammar. Spec: appendices/#common-namespaced-identifier-grammar
func checkProfileKey(name string) error {
	if len(name) > maxProfileKey {
		return matrix.NewError(http.StatusBadRequest, matrix.CodeKeyTooLarge, "The name of a profile field may have at most 255 bytes.")
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || i > 0 && (c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')) {
			return matrix.InvalidParam("The name of a profile field may hold a to z, digits, dots, dashes and underscores.")
		}
	}
	if name == "" {
		return matrix.InvalidParam("A profile field needs a name.")
	}
	return nil
}
