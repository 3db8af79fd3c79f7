package rooms

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxIgnored bounds for how many ignored users a count is corrected.
const maxIgnored = 100

// ignores are those of whom the user wants to hear nothing. Aggregations leave out what they sent.
// Spec: client-server-api/#server-side-aggregation-of-mthread-relationships
func (v *viewer) ignores(ctx context.Context) (map[matrix.UserID]bool, error) {
	if v.ignored != nil {
		return v.ignored, nil
	}
	v.ignored = map[matrix.UserID]bool{}
	nid, err := v.s.db.FindUserNID(ctx, v.user)
	if errors.Is(err, storage.ErrNotFound) {
		return v.ignored, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := v.s.db.FindAccountData(ctx, nid, 0, "m.ignored_user_list")
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	var list struct {
		Users map[matrix.UserID]json.RawMessage `json:"ignored_users"`
	}
	_ = matrix.Decode(data.Content, &list) // Why no error: what a client wrote there in another form ignores nobody
	for user := range list.Users {
		if len(v.ignored) < maxIgnored && user != v.user {
			v.ignored[user] = true
		}
	}
	return v.ignored, nil
}

// heard keeps events of those whom the user does not ignore.
func (v *viewer) heard(ctx context.Context, events []*Stored) ([]*Stored, error) {
	ignored, err := v.ignores(ctx)
	if err != nil || len(ignored) == 0 {
		return events, err
	}
	out := events[:0]
	for _, e := range events {
		if !ignored[e.Sender] {
			out = append(out, e)
		}
	}
	return out, nil
}

// unheard counts the events of a relation that ignored users sent.
func (v *viewer) unheard(ctx context.Context, target int64, relType string) (n int64, err error) {
	ignored, err := v.ignores(ctx)
	if err != nil {
		return 0, err
	}
	for user := range ignored {
		nid, err := v.s.db.FindUserNID(ctx, user)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		counts, err := v.s.db.CountRelations(ctx, v.room.NID(), nid, []int64{target})
		if err != nil {
			return 0, err
		}
		for _, c := range counts {
			if c.RelType == relType {
				n += c.Own
			}
		}
	}
	return n, nil
}
