package pushers

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of what users may store. Spec: client-server-api/#post_matrixclientv3pushersset
const (
	maxPushKey = 512
	maxAppID   = 64
	maxText    = 1024 // names and the like
	maxData    = 8 << 10
	maxPushers = 100 // of a user
)

// notifyPath is the path of every push gateway.
const notifyPath = "/_matrix/push/v1/notify"

// Pusher is a pusher as its owner sees it.
type Pusher struct {
	PushKey    string          `json:"pushkey"`
	Kind       string          `json:"kind"`
	AppID      string          `json:"app_id"`
	AppName    string          `json:"app_display_name"`
	DeviceName string          `json:"device_display_name"`
	ProfileTag string          `json:"profile_tag,omitempty"`
	Lang       string          `json:"lang"`
	Data       json.RawMessage `json:"data"`
	// MSC3881: pushers that are turned off, and whose they are.
	Enabled  bool            `json:"org.matrix.msc3881.enabled"`
	DeviceID matrix.DeviceID `json:"org.matrix.msc3881.device_id,omitempty"`
}

// Setting is what a client asks for.
type Setting struct {
	PushKey, AppID string
	// Kind is "http"; nil removes the pusher.
	Kind                *string
	AppName, DeviceName *string
	ProfileTag          string
	Lang                *string
	Data                json.RawMessage
	// Append keeps pushers of the same key that other users have.
	Append bool
	// Enabled turns the pusher off and on. MSC3881
	Enabled *bool
}

// List lists the caller's pushers. Spec: client-server-api/#get_matrixclientv3pushers
func (s *Service) List(ctx context.Context, c matrix.Caller) ([]Pusher, error) {
	return s.ListOf(ctx, c.UserNID)
}

// ListOf lists the pushers of a user.
func (s *Service) ListOf(ctx context.Context, user int64) ([]Pusher, error) {
	rows, err := s.DB.ListPushersOf(ctx, user)
	out := make([]Pusher, 0, len(rows))
	for i := range rows {
		p := &rows[i]
		out = append(out, Pusher{PushKey: p.PushKey, Kind: p.Kind, AppID: p.AppID, AppName: p.AppName, DeviceName: p.DeviceName,
			ProfileTag: p.ProfileTag, Lang: p.Lang, Data: p.Data, Enabled: p.Enabled, DeviceID: p.DeviceID})
	}
	return out, err
}

// Set adds, changes or removes one of the caller's pushers. Spec: client-server-api/#post_matrixclientv3pushersset
func (s *Service) Set(ctx context.Context, c matrix.Caller, q Setting) error {
	if err := q.checkNames(); err != nil {
		return err
	}
	change := &storage.Change{}
	if q.Kind == nil {
		change.Guard(storage.DeletePusher(c.UserNID, q.AppID, q.PushKey))
		change.Live(storage.Live{Kind: storage.KindPusher, User: c.UserNID})
		return s.DB.Commit(ctx, change)
	}
	gateway, err := s.check(ctx, &q)
	if err != nil {
		return err
	}
	if err := s.bound(ctx, c.UserNID, &q); err != nil {
		return err
	}
	if !q.Append {
		if err := s.takeFromOthers(ctx, c.UserNID, &q, change); err != nil {
			return err
		}
	}
	nid, err := s.DB.NewID(ctx, storage.PusherNIDs)
	if err != nil {
		return err
	}
	live := change.Live(storage.Live{Kind: storage.KindPusher, User: c.UserNID})
	change.Add(&storage.PusherRow{At: storage.At{Live: live + 1}, Pusher: storage.Pusher{
		NID: nid, User: c.UserNID, Tenant: c.Tenant, Device: c.DeviceNID, Session: c.Session, AppID: q.AppID, PushKey: q.PushKey,
		Kind: *q.Kind, URL: gateway, AppName: *q.AppName, DeviceName: *q.DeviceName, ProfileTag: q.ProfileTag, Lang: *q.Lang,
		Data: q.Data, Enabled: q.Enabled == nil || *q.Enabled, SetAt: s.Clock().UnixMilli(),
	}})
	return s.DB.Commit(ctx, change)
}

func (q *Setting) checkNames() error {
	switch {
	case q.AppID == "":
		return matrix.MissingParam("A pusher needs an app_id.")
	case q.PushKey == "":
		return matrix.MissingParam("A pusher needs a pushkey.")
	case len(q.AppID) > maxAppID:
		return matrix.InvalidParam("The app_id may have at most 64 characters.")
	case len(q.PushKey) > maxPushKey:
		return matrix.InvalidParam("The pushkey may have at most 512 bytes.")
	}
	return nil
}

// check checks what a pusher that is to be set consists of, and gives its gateway.
func (s *Service) check(ctx context.Context, q *Setting) (gateway string, err error) {
	switch {
	case *q.Kind == "email":
		return "", matrix.InvalidParam("This server sends no notifications by e-mail: set a pusher of kind http.").
			French("Ce serveur n'envoie pas de notifications par courriel.")
	case *q.Kind != "http":
		return "", matrix.InvalidParam("The kind of a pusher is http, or null to remove it.")
	case q.AppName == nil || q.DeviceName == nil || q.Lang == nil || q.Data == nil:
		return "", matrix.MissingParam("A pusher needs app_display_name, device_display_name, lang and data.")
	case len(*q.AppName) > maxText || len(*q.DeviceName) > maxText || len(*q.Lang) > maxText || len(q.ProfileTag) > maxText:
		return "", matrix.InvalidParam("The texts of a pusher may have at most 1024 bytes each.")
	case len(q.Data) > maxData:
		return "", matrix.InvalidParam("The data of a pusher may have at most 8 KiB.")
	}
	var data struct {
		URL string `json:"url"`
	}
	if err := matrix.Decode(q.Data, &data); err != nil || q.Data[0] != '{' {
		return "", matrix.InvalidParam("The data of a pusher is an object whose url is a text.")
	}
	if data.URL == "" {
		return "", matrix.MissingParam("The data of a pusher by HTTP needs a url.")
	}
	if err := s.checkURL(data.URL); err != nil {
		return "", err
	}
	return data.URL, s.Gateway.Admit(ctx, data.URL)
}

// checkURL refuses what is no address of a push gateway. Why http where private addresses are admitted: such a gateway stands
// in the same network.
func (s *Service) checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && s.Plain) {
		return matrix.InvalidParam("The url of a push gateway is an https address.")
	}
	if u.Path != notifyPath {
		return matrix.InvalidParam("The path of a push gateway's url must be " + notifyPath + ".")
	}
	return nil
}

// bound keeps a user from having too many pushers.
func (s *Service) bound(ctx context.Context, user int64, q *Setting) error {
	have, err := s.DB.ListPushersOf(ctx, user)
	if err != nil || len(have) < maxPushers {
		return err
	}
	same := func(p storage.Pusher) bool { return p.AppID == q.AppID && p.PushKey == q.PushKey }
	if slices.ContainsFunc(have, same) {
		return nil
	}
	return matrix.InvalidParam("You have 100 pushers already: remove one first.")
}

// takeFromOthers removes the pushers of this key that other users have: somebody else uses the device now.
func (s *Service) takeFromOthers(ctx context.Context, user int64, q *Setting, change *storage.Change) error {
	owners, err := s.DB.ListPusherOwners(ctx, q.AppID, q.PushKey)
	if err != nil {
		return err
	}
	for _, other := range owners {
		if other != user {
			change.Guard(storage.DeletePusher(other, q.AppID, q.PushKey))
			change.Live(storage.Live{Kind: storage.KindPusher, User: other})
		}
	}
	return nil
}
