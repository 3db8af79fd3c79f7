package rooms

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"hash/maphash"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// CreateRoom makes a room: the create event and all that fn returns for the room as it then stands, each built on the one
// before, as one Change. fn may be called several times. Presets and the like are the caller's.
func (s *Service) CreateRoom(ctx context.Context, v *matrix.RoomVersion, creator matrix.UserID, content json.RawMessage,
	fn func(v *View) ([]Draft, error)) (*Room, []*Stored, error) {
	need := needs{events: 1}
	nid, err := s.db.NewID(ctx, storage.RoomNIDs)
	if err != nil {
		return nil, nil, err
	}
	r := &Room{s: s, nid: nid, version: v}
	if !v.RoomIDIsCreateHash {
		r.id = newRoomID(creator.Server())
	}
	for {
		if err := need.satisfy(ctx, s); err != nil {
			return nil, nil, err
		}
		b := newBuilder(r, &need)
		b.snap = &snapshot{}
		if err = b.newGraph(ctx, creator, content, fn); errors.Is(err, errNeeds) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		return s.commitNew(ctx, b)
	}
}

// commitNew writes a new room and makes it known.
func (s *Service) commitNew(ctx context.Context, b *builder) (*Room, []*Stored, error) {
	slot, err := s.db.Reserve(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := b.r
	r.mu.Lock()
	c := b.commitment()
	slot.Submit(c.change)
	r.tip, r.resolvedOf = b.snap, b.resolvedOf
	r.mu.Unlock()
	if err := c.finish(ctx); err != nil {
		return nil, nil, refused(err)
	}
	r = s.rooms.add(r)
	s.rooms.touch(r, b.snap.bytes())
	return r, c.stored, nil
}

// newGraph builds the first events.
func (b *builder) newGraph(ctx context.Context, creator matrix.UserID, content json.RawMessage, fn func(v *View) ([]Draft, error)) error {
	empty := ""
	create := []Draft{{Sender: creator, Type: "m.room.create", StateKey: &empty, Content: content, OriginTS: b.s.createTS(creator)}}
	b.notBefore = create[0].OriginTS
	if err := b.need.names(ctx, b.s, create); err != nil {
		return err
	}
	if err := b.draft(ctx, &create[0]); err != nil {
		return err
	}
	b.r.id = b.stored[0].RoomID
	b.newRoom = &storage.RoomRow{NID: b.r.nid, RoomID: b.r.id, RoomVersion: b.r.version.ID, Created: b.s.nowMS(),
		Kind: roomKind(b.stored[0].Event)}
	b.change.Rows = append([]storage.Row{b.newRoom}, b.change.Rows...)
	drafts, err := fn(b.view())
	if err != nil {
		return err
	}
	return b.drafts(ctx, drafts)
}

// roomKind is the type that a create event gives its room.
func roomKind(create *matrix.Event) storage.RoomKind {
	c, err := create.CreateContent()
	if err != nil {
		return "" // whoever asks will look
	}
	return storage.KindOf(c.Type)
}

// createTS is the time of a create event, never the same twice for one user.
// Why: from room version 12 on the room's id is the event's hash, and one user may make two equal rooms in a millisecond.
func (s *Service) createTS(creator matrix.UserID) int64 {
	newest := &s.lastCreate[maphash.String(s.createSeed, string(creator))%uint64(len(s.lastCreate))]
	for {
		last := newest.Load()
		if now := max(s.nowMS(), last+1); newest.CompareAndSwap(last, now) {
			return now
		}
	}
}

// newRoomID makes an id that nobody can guess. Spec: appendices/#room-ids
func newRoomID(server matrix.ServerName) matrix.RoomID {
	return matrix.RoomID("!" + strings.ToLower(rand.Text()[:18]) + ":" + string(server))
}
