package rooms

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxReferences bounds how many events that refer to one are bundled with it.
const maxReferences = 100

// bundles are the aggregated relations of events, by number, ready to stand under "m.relations".
// Spec: client-server-api/#aggregations-of-child-events
func (s *Service) bundles(ctx context.Context, v *viewer, userNID int64, events []*Stored) (map[int64][]byte, error) {
	byHash := map[int64]*Stored{}
	var hashes []int64
	for _, e := range events {
		if e.IsState() || e.RedactedBy != nil {
			continue
		}
		byHash[e.Row.IDHash] = e
		hashes = append(hashes, e.Row.IDHash)
	}
	if len(hashes) == 0 {
		return nil, nil
	}
	counts, err := s.db.CountRelations(ctx, v.room.NID(), userNID, hashes)
	if err != nil || len(counts) == 0 {
		return nil, err
	}
	out := map[int64][]byte{}
	for _, c := range counts {
		e := byHash[c.Target]
		if e == nil {
			continue
		}
		part, err := s.bundle(ctx, v, e, c)
		if err != nil {
			return nil, err
		}
		if part == nil {
			continue
		}
		dst := out[e.Row.NID]
		if dst != nil {
			dst = append(dst, ',')
		}
		dst = append(matrix.AppendJSONString(dst, c.RelType), ':')
		out[e.Row.NID] = append(dst, part...)
	}
	return out, nil
}

// bundle is the aggregation of one type of relation; nil where that type has none.
func (s *Service) bundle(ctx context.Context, v *viewer, e *Stored, c storage.RelationCount) ([]byte, error) {
	switch c.RelType {
	case "m.thread":
		return s.bundleThread(ctx, v, e, c)
	case "m.replace":
		return s.bundleEdit(ctx, v, e)
	case "m.reference":
		return s.bundleReferences(ctx, v, e)
	}
	return nil, nil
}

// newest lists what relates to an event and may be seen, newest first, without what ignored users sent.
func (s *Service) newest(ctx context.Context, v *viewer, e *Stored, relType string, limit int) ([]*Stored, error) {
	ignored, err := v.ignores(ctx)
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 {
		limit = maxReferences // Why more: the newest ones may be among those that are left out
	}
	list, err := s.relatingTo(ctx, e.ID, storage.RelationQuery{Room: v.room.NID(), RelType: relType, After: -1, Upto: s.db.Position(),
		Backward: true, Limit: limit})
	if err != nil {
		return nil, err
	}
	if list, err = v.heard(ctx, list); err != nil {
		return nil, err
	}
	return v.filter(ctx, list)
}

// bundleThread sums up a thread. Spec: client-server-api/#server-side-aggregation-of-mthread-relationships
func (s *Service) bundleThread(ctx context.Context, v *viewer, root *Stored, c storage.RelationCount) ([]byte, error) {
	last, err := s.newest(ctx, v, root, "m.thread", 1)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	unheard, err := v.unheard(ctx, c.Target, "m.thread")
	if err != nil {
		return nil, err
	}
	latest := AppendClientEvent([]byte(`{"latest_event":`), last[0], Unsigned{Age: s.nowMS() - last[0].OriginServerTS}, true)
	latest = strconv.AppendInt(append(latest, `,"count":`...), c.Count-unheard, 10)
	took := c.Own > 0 || root.Sender == v.user
	return append(strconv.AppendBool(append(latest, `,"current_user_participated":`...), took), '}'), nil
}

// bundleEdit is the newest valid edit. Spec: client-server-api/#server-side-aggregation-of-mreplace-relationships
func (s *Service) bundleEdit(ctx context.Context, v *viewer, e *Stored) ([]byte, error) {
	edits, err := s.newest(ctx, v, e, "m.replace", maxReferences)
	if err != nil {
		return nil, err
	}
	if r, ok := relationIn(e.Content); ok && r.RelType == "m.replace" {
		return nil, nil // an edit cannot be edited
	}
	var best *Stored
	for _, edit := range edits {
		if !validEdit(e, edit) {
			continue
		}
		if best == nil || edit.OriginServerTS > best.OriginServerTS || edit.OriginServerTS == best.OriginServerTS && edit.ID > best.ID {
			best = edit
		}
	}
	if best == nil {
		return nil, nil
	}
	return AppendClientEvent(nil, best, Unsigned{Age: s.nowMS() - best.OriginServerTS}, true), nil
}

// validEdit reports whether an event replaces another's content. Spec: client-server-api/#validity-of-replacement-events
func validEdit(e, edit *Stored) bool {
	if edit.Sender != e.Sender || edit.Type != e.Type || edit.IsState() {
		return false
	}
	var c struct {
		New json.RawMessage `json:"m.new_content"`
	}
	return e.Type == "m.room.encrypted" || matrix.Decode(edit.Content, &c) == nil && len(c.New) > 0
}

// bundleReferences lists who refers to an event. Spec: client-server-api/#server-side-aggregation-of-mreference
func (s *Service) bundleReferences(ctx context.Context, v *viewer, e *Stored) ([]byte, error) {
	list, err := s.newest(ctx, v, e, "m.reference", maxReferences)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	dst := []byte(`{"chunk":[`)
	for i := len(list) - 1; i >= 0; i-- {
		dst = append(matrix.AppendJSONString(append(dst, `{"event_id":`...), list[i].ID), '}', ',')
	}
	dst[len(dst)-1] = ']'
	return append(dst, '}'), nil
}
