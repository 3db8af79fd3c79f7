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

// query is one query under way.
type query struct {
	*Keys
	viewer matrix.Caller
	// nameless leaves out what devices are called: that is for their owners' own server only.
	nameless bool
	asked    map[matrix.UserID][]matrix.DeviceID
	users    map[int64]matrix.UserID
	nids     []int64
	sigs     map[signed][]storage.KeySignature
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
	q := &query{viewer: c, asked: asked, users: map[int64]matrix.UserID{}, sigs: map[signed][]storage.KeySignature{}, Keys: &Keys{
		DeviceKeys: map[matrix.UserID]map[matrix.DeviceID]json.RawMessage{}, Failures: map[matrix.ServerName]Failure{},
		Master: map[matrix.UserID]json.RawMessage{}, SelfSigning: map[matrix.UserID]json.RawMessage{},
		UserSigning: map[matrix.UserID]json.RawMessage{},
	}}
	remote := byServer[[]matrix.DeviceID]{}
	for user := range asked {
		if !s.local(user.Server()) {
			if ask, err := s.mustAsk(ctx, user); err != nil {
				return nil, err
			} else if ask {
				remote.add(user.Server(), user, asked[user])
				continue
			}
		}
		q.DeviceKeys[user] = map[matrix.DeviceID]json.RawMessage{}
		nid, err := s.db.FindUserNID(ctx, user)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		q.users[nid] = user
		q.nids = append(q.nids, nid)
	}
	if err := q.read(ctx, s.db); err != nil {
		return nil, err
	}
	s.queryOutside(ctx, c.User.Server(), remote, q.Keys)
	return q.Keys, nil
}

// read fills in what the database has.
func (q *query) read(ctx context.Context, db *storage.DB) error {
	signatures, err := db.ListKeySignatures(ctx, q.nids, q.viewer.UserNID)
	if err != nil {
		return err
	}
	for _, sig := range signatures {
		signerID, err := db.GetUserID(ctx, sig.Signer)
		if err != nil {
			return err
		}
		q.users[sig.Signer] = signerID
		key := signed{sig.User, sig.Target}
		q.sigs[key] = append(q.sigs[key], sig)
	}
	devices, err := db.ListDeviceKeys(ctx, q.nids)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if err := q.addDevice(d); err != nil {
			return err
		}
	}
	keys, err := db.ListCrossSigning(ctx, q.nids)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := q.addCrossSigning(k); err != nil {
			return err
		}
	}
	return nil
}

func (q *query) addDevice(d storage.DeviceKeys) error {
	user := q.users[d.User]
	if want := q.asked[user]; len(want) > 0 && !slices.Contains(want, d.Device) {
		return nil
	}
	var unsigned json.RawMessage
	if d.DisplayName != "" && !q.nameless {
		name, err := json.Marshal(map[string]string{"device_display_name": d.DisplayName})
		if err != nil {
			return err
		}
		unsigned = name
	}
	body, err := q.merge(d.Body, signed{d.User, string(d.Device)}, unsigned)
	q.DeviceKeys[user][d.Device] = body
	return err
}

// addCrossSigning adds a cross-signing key; the user-signing key is for its owner only.
func (q *query) addCrossSigning(k storage.CrossSigningKey) error {
	user := q.users[k.User]
	body, err := q.merge(k.Body, signed{k.User, k.KeyID}, nil)
	switch {
	case k.Usage == usageMaster:
		q.Master[user] = body
	case k.Usage == usageSelf:
		q.SelfSigning[user] = body
	case user == q.viewer.User:
		q.UserSigning[user] = body
	}
	return err
}

// merge adds to a key the signatures that were uploaded apart from it, and what the server says about it.
func (q *query) merge(body []byte, which signed, unsigned json.RawMessage) (json.RawMessage, error) {
	sigs := q.sigs[which]
	switch {
	case len(sigs) == 0 && unsigned == nil:
		return body, nil
	case len(sigs) == 0: // Why text: stored keys are canonical objects that are not empty, and never have this field
		out := append(make([]byte, 0, len(body)+len(unsigned)+16), body[:len(body)-1]...)
		return append(append(append(out, `,"unsigned":`...), unsigned...), '}'), nil
	}
	var key map[string]json.RawMessage
	if err := json.Unmarshal(body, &key); err != nil {
		return nil, err
	}
	if unsigned != nil {
		key["unsigned"] = unsigned
	}
	var all map[matrix.UserID]map[string]string
	_ = json.Unmarshal(key["signatures"], &all) // Why no error: what a device wrote there is its own business
	if all == nil {
		all = map[matrix.UserID]map[string]string{}
	}
	for _, sig := range sigs {
		signer := q.users[sig.Signer]
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
