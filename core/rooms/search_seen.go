package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Hit is an event that was found by its words. Known is what the index knows of it: its type, its sender and its place; it
// is not read.
type Hit struct {
	storage.SearchHit
	Known *Stored
}

// Hits makes what was found ready to be judged.
func (s *Service) Hits(ctx context.Context, found []storage.SearchHit) ([]Hit, error) {
	senders := make([]int64, len(found))
	for i := range found {
		senders[i] = found[i].Sender
	}
	if err := s.db.LoadUserIDs(ctx, senders); err != nil {
		return nil, err
	}
	out := make([]Hit, len(found))
	for i, h := range found {
		sender, err := s.db.GetUserID(ctx, h.Sender)
		if err != nil {
			return nil, err
		}
		out[i] = Hit{h, &Stored{
			Event: &matrix.Event{Type: searchedType(h.Field), Sender: sender, StateKey: searchedKey(h.Field)},
			Row: storage.EventRow{At: storage.At{Pos: max(h.ID, 0)}, NID: h.Event, Room: h.Room, Sender: h.Sender,
				Branch: h.Branch, Seq: h.Seq, TS: h.TS},
		}}
	}
	return out, nil
}

// SeenHits keeps what the user may see with the words by which it was found. members says how he stands to the rooms
// now; what was found in others he does not see.
// Why there are no flags to look at: nothing that is hidden from everybody enters the index, and what is redacted leaves it.
func (s *Service) SeenHits(ctx context.Context, user matrix.UserID, members map[int64]storage.MembershipRow, hits []Hit) ([]Hit, error) {
	v := s.acrossFor(user, members)
	out := make([]Hit, 0, len(hits))
	for _, h := range hits {
		in, err := v.in(ctx, h.Room)
		if err != nil {
			return nil, err
		}
		if in == nil {
			continue
		}
		ok, err := in.sees(ctx, h.Known)
		if err == nil && ok {
			ok, err = in.seesWords(ctx, h.Known)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, h)
		}
	}
	return out, nil
}

// seesWords reports whether [viewer.asSeen] leaves an event that was not redacted as it is.
func (v *viewer) seesWords(ctx context.Context, e *Stored) (bool, error) {
	if e.Sender == v.user {
		return true, nil
	}
	if st, err := v.before(ctx, e); err != nil || st.membership == "join" {
		return err == nil, err
	}
	gone, err := v.erased(ctx, e.Sender)
	return !gone, err
}
