package devices

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// ClaimRequest asks for one key of each device: user → device → algorithm.
type ClaimRequest map[matrix.UserID]map[matrix.DeviceID]string

// Claimed holds the keys that were handed out: user → device → "algorithm:id" → key.
type Claimed map[matrix.UserID]map[matrix.DeviceID]map[string]json.RawMessage

// claimant is a device of which a key is wanted.
type claimant struct {
	user    matrix.UserID
	userNID int64
	device  matrix.DeviceID
	want    storage.Want
}

// ClaimKeys hands out a one-time key of each device, or its fallback key when it has none left. Users and devices that
// have neither are left out; other servers are asked in the name of from, and named in failures when they do not answer.
// Spec: client-server-api/#post_matrixclientv3keysclaim
func (s *Service) ClaimKeys(ctx context.Context, from matrix.ServerName, q ClaimRequest) (Claimed, map[matrix.ServerName]Failure, error) {
	failures := map[matrix.ServerName]Failure{}
	ours := map[matrix.UserID]map[matrix.DeviceID]string{}
	remote := byServer[map[matrix.DeviceID]string]{}
	closed, err := askBorder(ctx, s, from, "user/keys/claim", q)
	if err != nil {
		return nil, nil, err
	}
	for user, devices := range q {
		if f, is := closed[user.Server()]; is {
			failures[user.Server()] = f
		} else if s.local(user.Server()) {
			ours[user] = devices
		} else {
			remote.add(user.Server(), user, devices)
		}
	}
	wanted, err := s.claimants(ctx, ours)
	if err != nil {
		return nil, nil, err
	}
	out := Claimed{}
	s.claimOutside(ctx, from, remote, out, failures)
	for len(wanted) > 0 {
		n := min(storage.ClaimMax, len(wanted))
		if err := s.claimSome(ctx, wanted[:n], out); err != nil {
			return nil, nil, err
		}
		wanted = wanted[n:]
	}
	return out, failures, nil
}

// claimants finds those of the devices that exist.
func (s *Service) claimants(ctx context.Context, asked ClaimRequest) ([]claimant, error) {
	users, lists, err := findDevices(ctx, s, asked)
	if err != nil {
		return nil, err
	}
	out := make([]claimant, 0, len(users))
	for nid, list := range lists {
		user := users[nid]
		for _, d := range list {
			if algorithm, ok := asked[user][d.ID]; ok {
				out = append(out, claimant{user, nid, d.ID, storage.Want{Device: d.NID, Algorithm: algorithm}})
			}
		}
	}
	return out, nil
}

// claimSome claims one-time keys, then fallback keys for those devices that had none.
func (s *Service) claimSome(ctx context.Context, wanted []claimant, out Claimed) error {
	left, err := s.claimOnce(ctx, wanted, out, func(wants []storage.Want, into *storage.Claim) storage.Guard {
		return s.db.ClaimOneTimeKeys(wants, s.now().UnixMilli(), into)
	})
	if err != nil || len(left) == 0 {
		return err
	}
	_, err = s.claimOnce(ctx, left, out, s.db.ClaimFallbackKeys)
	return err
}

// claimOnce makes one Change that claims, adds what it got to out and returns those who got nothing.
func (s *Service) claimOnce(ctx context.Context, wanted []claimant, out Claimed,
	guards func([]storage.Want, *storage.Claim) storage.Guard,
) (left []claimant, err error) {
	byWant := make(map[storage.Want]claimant, len(wanted))
	wants := make([]storage.Want, len(wanted))
	change := &storage.Change{}
	told := map[int64]bool{}
	for i, w := range wanted {
		wants[i], byWant[w.want] = w.want, w
		if !told[w.userNID] {
			told[w.userNID] = true
			change.Live(storage.Live{Kind: storage.KindKeyCount, User: w.userNID})
		}
	}
	var got storage.Claim
	change.Guard(guards(wants, &got))
	if err := s.db.Commit(ctx, change); err != nil {
		return nil, err
	}
	for _, key := range got.Keys {
		want := storage.Want{Device: key.Device, Algorithm: key.Algorithm}
		out.add(byWant[want], key)
		delete(byWant, want)
	}
	for _, w := range byWant {
		left = append(left, w)
	}
	return left, nil
}

func (out Claimed) add(w claimant, key storage.OneTimeKey) {
	if out[w.user] == nil {
		out[w.user] = map[matrix.DeviceID]map[string]json.RawMessage{}
	}
	out[w.user][w.device] = map[string]json.RawMessage{key.Algorithm + ":" + key.ID: key.Body}
}

// Failure says why a server could not be asked.
type Failure struct {
	Code    string `json:"errcode"`
	Message string `json:"error"`
}

func errUnreachable() Failure {
	return Failure{matrix.CodeUnknown, "This server does not talk to that one."}
}

// ignoreMissing turns "there is no such thing" into success.
func ignoreMissing(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}
