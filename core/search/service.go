package search

import (
	"context"

	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Service searches. Its methods may be called concurrently.
type Service struct {
	db    *storage.DB
	rooms *rooms.Service
}

// New makes the service.
func New(db *storage.DB, r *rooms.Service) *Service { return &Service{db: db, rooms: r} }

// Limits of a search.
const (
	defaultPage = 10
	maxPage     = 100
	// window is how many of the newest hits are looked at: to count them, and to put the best first.
	window = 150
	// maxTerms bounds how many words may be looked for at once, maxNamed how many rooms and senders a filter may name.
	maxTerms = 32
	maxNamed = 2000
)

// Fields are the parts of a content that can be searched, by their names.
func Fields() map[string]storage.SearchField {
	return map[string]storage.SearchField{
		"content.body": storage.SearchBody, "content.name": storage.SearchName, "content.topic": storage.SearchTopic,
	}
}

// Request says what is searched for. Spec: client-server-api/#post_matrixclientv3search
type Request struct {
	Term   string
	Fields []storage.SearchField // empty: all
	Filter *rooms.EventFilter
	Recent bool // newest first; otherwise best first
	From   Token
}

// Found is one result.
type Found struct {
	Room  *rooms.Room
	Event *rooms.Stored
	Rank  float64
}

// ranked is what was found and may be seen.
type ranked struct {
	storage.SearchHit
	rank float64
}

// Page is a page of results.
type Page struct {
	// Count is how many results there are, as far as they were counted.
	Count   int
	Results []Found
	// Highlights are the words that were found, as they are written.
	Highlights []string
	// Next is where the next page starts; nil when there is none.
	Next *Token

	sorted []ranked // all that were looked at
	from   Token
	end    int
}

// scope finds the rooms to search: those that the user is in or was in, as far as the filter and the page name them.
func (s *Service) scope(ctx context.Context, user int64, q *Request) (map[int64]storage.MembershipRow, error) {
	list, err := s.db.ListMembershipsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	named, err := s.numbers(ctx, q.Filter)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]storage.MembershipRow, len(list))
	for _, m := range list {
		was := (m.Membership == storage.MemberLeave || m.Membership == storage.MemberBan) && !m.Forgotten
		if m.Membership != storage.MemberJoin && !was || q.From.Room != 0 && q.From.Room != m.Room {
			continue
		}
		if is, known := named[m.Room]; known && !is || !known && q.Filter != nil && q.Filter.Rooms != nil {
			continue
		}
		out[m.Room] = m
	}
	return out, nil
}

// numbers are the rooms that a filter names: asked for (true) or left out (false).
func (s *Service) numbers(ctx context.Context, f *rooms.EventFilter) (map[int64]bool, error) {
	out := map[int64]bool{}
	if f == nil {
		return out, nil
	}
	for i, id := range append(append([]matrix.RoomID{}, f.Rooms...), f.NotRooms...) {
		room, err := s.rooms.Room(ctx, id)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[room.NID()] = i < len(f.Rooms)
	}
	return out, nil
}

// senders are the numbers of those whom the filter asks for; none asks for all. ok is false when nobody can be meant.
func (s *Service) senders(ctx context.Context, q *Request) (nids []int64, ok bool, err error) {
	if q.From.Sender != 0 {
		return []int64{q.From.Sender}, true, nil
	}
	if q.Filter == nil || q.Filter.Senders == nil {
		return nil, true, nil
	}
	for _, id := range q.Filter.Senders {
		nid, err := s.db.FindUserNID(ctx, id)
		if err == nil {
			nids = append(nids, nid)
		} else if !isNotFound(err) {
			return nil, false, err
		}
	}
	return nids, len(nids) > 0, nil
}

// ignored are those whom the user wants to hear nothing of.
func (s *Service) ignored(ctx context.Context, user int64) (map[matrix.UserID]bool, error) {
	data, err := s.db.FindAccountData(ctx, user, 0, "m.ignored_user_list")
	if isNotFound(err) {
		return nil, nil
	}
	return push.IgnoredUsers(data.Content), err
}
