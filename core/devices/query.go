package devices

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Keys is the answer to a query: identity and cross-signing keys of users.
// Spec: client-server-api/#post_matrixclientv3keysquery
type Keys struct {
	DeviceKeys  map[matrix.UserID]map[matrix.DeviceID]json.RawMessage `json:"device_keys"`
	Failures    map[matrix.ServerName]Failure                         `json:"failures"`
	Master      map[matrix.UserID]json.RawMessage                     `json:"master_keys,omitempty"`
	SelfSigning map[matrix.UserID]json.RawMessage                     `json:"self_signing_keys,omitempty"`
	UserSigning map[matrix.UserID]json.RawMessage                     `json:"user_signing_keys,omitempty"`
}

func newKeys(users int) *Keys {
	return &Keys{
		DeviceKeys: make(map[matrix.UserID]map[matrix.DeviceID]json.RawMessage, users), Failures: map[matrix.ServerName]Failure{},
		Master: make(map[matrix.UserID]json.RawMessage, users), SelfSigning: make(map[matrix.UserID]json.RawMessage, users),
		UserSigning: map[matrix.UserID]json.RawMessage{},
	}
}

// query is one query under way.
type query struct {
	*Keys
	db     *storage.DB
	viewer matrix.Caller
	// nameless leaves out what devices are called: that is for their owners' own server only.
	nameless bool
	asked    map[matrix.UserID][]matrix.DeviceID
	users    map[int64]matrix.UserID
	// ours are users of this installation, others those of other servers whose keys are kept here.
	ours, others []int64
}

// signed names a key that carries further signatures.
type signed struct {
	user   int64
	target string
}

// QueryKeys reads the keys of users; an empty list of devices asks for all of them. A local user without keys is there
// with none. Lists of users of other servers are read from what is kept of them; servers whose users are not known here are
// asked, and named in the failures when they do not answer.
func (s *Service) QueryKeys(ctx context.Context, c matrix.Caller, asked map[matrix.UserID][]matrix.DeviceID) (*Keys, error) {
	q := &query{db: s.db, viewer: c, asked: asked, users: make(map[int64]matrix.UserID, len(asked)), Keys: newKeys(len(asked))}
	remote := byServer[[]matrix.DeviceID]{}
	closed, err := askBorder(ctx, s, c.User.Server(), "user/keys/query", asked)
	if err != nil {
		return nil, err
	}
	for user := range asked {
		local := s.local(user.Server())
		if f, is := closed[user.Server()]; is {
			q.Failures[user.Server()] = f
			continue
		}
		if !local {
			ask, doubtful, err := s.mustAsk(ctx, user)
			if err != nil {
				return nil, err
			}
			if ask {
				remote.add(user.Server(), user, asked[user])
				continue
			}
			if doubtful { // Why beside the keys: who takes them for the present ones would never ask again
				q.Failures[user.Server()] = errUnreachable()
			}
		}
		if err := q.want(ctx, user, local); err != nil {
			return nil, err
		}
	}
	if err := q.read(ctx, s); err != nil {
		return nil, err
	}
	s.queryOutside(ctx, c.User.Server(), remote, q.Keys)
	return q.Keys, nil
}

// want notes that the keys of a user are to be read.
func (q *query) want(ctx context.Context, user matrix.UserID, ours bool) error {
	nid, err := q.db.FindUserNID(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		q.DeviceKeys[user] = map[matrix.DeviceID]json.RawMessage{}
		return nil
	}
	q.users[nid] = user
	if ours {
		q.ours = append(q.ours, nid)
	} else {
		q.others = append(q.others, nid)
	}
	return err
}

// read fills in what is known here.
func (q *query) read(ctx context.Context, s *Service) error {
	found, err := s.keysOf(ctx, q.ours, q.others)
	if err != nil {
		return err
	}
	for nid, user := range q.users {
		u := found[nid]
		devices := make(map[matrix.DeviceID]json.RawMessage, len(u.devices))
		q.DeviceKeys[user] = devices
		mine := u.foreign[q.viewer.UserNID]
		for i := range u.devices {
			d := &u.devices[i]
			if want := q.asked[user]; len(want) > 0 && !slices.Contains(want, d.id) {
				continue
			}
			if devices[d.id], err = q.device(ctx, d, mine); err != nil {
				return err
			}
		}
		for i := range u.cross {
			if err := q.addCrossSigning(ctx, user, &u.cross[i], mine); err != nil {
				return err
			}
		}
	}
	return nil
}

// device is a device's identity as the viewer sees it: with his own signatures, and what it is called.
func (q *query) device(ctx context.Context, d *shownDevice, mine []storage.KeySignature) (json.RawMessage, error) {
	body, err := addSignatures(ctx, q.db, d.body, onTarget(mine, string(d.id)))
	if err != nil || d.name == "" || q.nameless {
		return body, err
	}
	// Why text: stored keys are canonical objects that are not empty, and never have this field.
	out := append(make([]byte, 0, len(body)+len(d.name)+64), body[:len(body)-1]...)
	out = matrix.AppendJSONString(append(out, `,"unsigned":{"device_display_name":`...), d.name)
	return append(out, `}}`...), nil
}

// addCrossSigning adds a cross-signing key; the user-signing key is for its owner only.
func (q *query) addCrossSigning(ctx context.Context, user matrix.UserID, k *shownCross, mine []storage.KeySignature) error {
	into := q.SelfSigning
	switch {
	case k.usage == usageMaster:
		into = q.Master
	case k.usage == usageSelf:
	case user == q.viewer.User:
		into = q.UserSigning
	default:
		return nil
	}
	body, err := addSignatures(ctx, q.db, k.body, onTarget(mine, k.keyID))
	into[user] = body
	return err
}

func onTarget(sigs []storage.KeySignature, target string) (out []storage.KeySignature) {
	for _, s := range sigs {
		if s.Target == target {
			out = append(out, s)
		}
	}
	return out
}

// addSignatures adds to a key signatures that were uploaded apart from it.
func addSignatures(ctx context.Context, db *storage.DB, body []byte, sigs []storage.KeySignature) ([]byte, error) {
	if len(sigs) == 0 {
		return body, nil
	}
	var key map[string]json.RawMessage
	if err := matrix.Decode(body, &key); err != nil {
		return nil, err
	}
	var all map[matrix.UserID]map[string]string
	_ = matrix.Decode(key["signatures"], &all) // Why no error: what a device wrote there is its own business
	if all == nil {
		all = map[matrix.UserID]map[string]string{}
	}
	for _, sig := range sigs {
		signer, err := db.GetUserID(ctx, sig.Signer)
		if err != nil {
			return nil, err
		}
		if all[signer] == nil {
			all[signer] = map[string]string{}
		}
		all[signer][sig.KeyID] = sig.Signature
	}
	merged, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	key["signatures"] = merged
	return json.Marshal(key)
}
