package search

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/words"
	"rempart/storage"
)

// Search finds what has all words of the term. Spec: client-server-api/#server-side-search
func (s *Service) Search(ctx context.Context, c matrix.Caller, q *Request) (*Page, error) {
	terms := words.Unique(q.Term)
	if len(terms) > maxTerms {
		return nil, matrix.InvalidParam("That are too many words to search for at once.")
	}
	if f := q.Filter; f != nil && len(f.Rooms)+len(f.NotRooms)+len(f.Senders) > maxNamed { // Why: each is looked up
		return nil, matrix.InvalidParam("The filter names too many rooms and senders: 2000 at most.")
	}
	page := &Page{from: q.From, Highlights: []string{}}
	scope, err := s.scope(ctx, c.UserNID, q)
	if err != nil {
		return nil, err
	}
	senders, ok, err := s.senders(ctx, q)
	if err != nil || !ok || len(scope) == 0 || len(terms) == 0 {
		return page, err
	}
	hits, err := s.db.Search(ctx, storage.SearchQuery{Rooms: slices.Sorted(maps.Keys(scope)), Senders: senders, Words: terms, Before: q.From.before(), Limit: window})
	if err != nil {
		return nil, err
	}
	full := len(hits) == window
	if page.sorted, err = s.seen(ctx, c, q, scope, hits, terms); err != nil {
		return nil, err
	}
	if !q.Recent {
		slices.SortStableFunc(page.sorted, func(a, b ranked) int { return cmp.Compare(b.rank, a.rank) })
	}
	return page, s.fill(ctx, c, page, page.cut(q, hits, full), scope, terms)
}

// seen keeps what the user may see and asked for, in the order of the hits.
func (s *Service) seen(ctx context.Context, c matrix.Caller, q *Request, scope map[int64]storage.MembershipRow,
	found []storage.SearchHit, terms []string,
) ([]ranked, error) {
	ignored, err := s.ignored(ctx, c.UserNID)
	if err != nil {
		return nil, err
	}
	hits, err := s.rooms.Hits(ctx, found)
	if err != nil {
		return nil, err
	}
	hits = slices.DeleteFunc(hits, func(h rooms.Hit) bool {
		return len(q.Fields) > 0 && !slices.Contains(q.Fields, h.Field) || ignored[h.Known.Sender] ||
			!q.Filter.MatchType(h.Known.Type) || !q.Filter.MatchSender(h.Known.Sender)
	})
	if hits, err = s.rooms.SeenHits(ctx, c.User, scope, hits); err != nil {
		return nil, err
	}
	if q.Filter.ReadsContent() {
		if hits, err = s.matching(ctx, q.Filter, hits); err != nil {
			return nil, err
		}
	}
	newest := int64(0)
	for _, h := range hits {
		newest = max(newest, h.TS)
	}
	out := make([]ranked, len(hits))
	for i, h := range hits {
		out[i] = ranked{h.SearchHit, rank(h.Words, terms, newest-h.TS)}
	}
	return out, nil
}

// matching reads the events that a filter must see whole.
func (s *Service) matching(ctx context.Context, f *rooms.EventFilter, hits []rooms.Hit) ([]rooms.Hit, error) {
	nids := make([]int64, len(hits))
	for i, h := range hits {
		nids[i] = h.Event
	}
	events, err := s.rooms.Events(ctx, nids)
	if err != nil {
		return nil, err
	}
	match := make(map[int64]bool, len(events))
	for _, e := range events {
		match[e.Row.NID] = f.Match(e.Event)
	}
	return slices.DeleteFunc(hits, func(h rooms.Hit) bool { return !match[h.Event] }), nil
}

// fill reads the events of a page's own part. One that was taken back since it was found is left out.
func (s *Service) fill(ctx context.Context, c matrix.Caller, p *Page, part []ranked, scope map[int64]storage.MembershipRow, terms []string) error {
	nids := make([]int64, len(part))
	for i, r := range part {
		nids[i] = r.Event
	}
	events, err := s.rooms.Events(ctx, nids)
	if err != nil {
		return err
	}
	if events, err = s.rooms.VisibleAcross(ctx, c.User, scope, events); err != nil {
		return err
	}
	for _, r := range part {
		i := slices.IndexFunc(events, func(e *rooms.Stored) bool { return e.Row.NID == r.Event })
		if i < 0 || events[i].RedactedBy != nil || rooms.SearchText(events[i]) == "" {
			continue
		}
		room, err := s.rooms.RoomByNID(ctx, r.Room)
		if err != nil {
			return err
		}
		f := Found{Room: room, Event: events[i], Rank: r.rank}
		p.Results = append(p.Results, f)
		p.highlight(f, terms)
	}
	return nil
}

// Weights of a rank: how soon a repeated word counts for nothing more, how long a usual message is, and by when (in
// milliseconds) half of what youth gives is lost.
const (
	saturation = 1.2
	usualWords = 12
	halfLife   = 30 * 24 * 3600 * 1000
)

// rank says how well a message fits: better the more of its words are those looked for, and up to twice as well the
// younger it is. Why no weight of rare words: every result has all of them.
func rank(text string, terms []string, age int64) float64 {
	count := make(map[string]int, len(terms))
	total := -2 // the marks before the words
	for w := range strings.SplitSeq(text, " ") {
		total++
		if slices.Contains(terms, w) {
			count[w]++
		}
	}
	score := 0.0
	for _, n := range count {
		score += float64(n) * (saturation + 1) / (float64(n) + saturation*(0.25+0.75*float64(total)/usualWords))
	}
	return score / float64(len(terms)) * (1 + math.Exp2(-float64(max(age, 0))/halfLife))
}

// cut gives the page's own part of what was found, and says where the next one starts.
func (p *Page) cut(q *Request, hits []storage.SearchHit, full bool) []ranked {
	limit := defaultPage
	if q.Filter != nil && q.Filter.Limit > 0 {
		limit = min(q.Filter.Limit, maxPage)
	}
	begin := min(q.From.Offset, len(p.sorted))
	p.end = min(begin+limit, len(p.sorted))
	part := p.sorted[begin:p.end]
	p.Count = q.From.Passed + len(p.sorted)
	next := Token{Before: q.From.Before, Offset: p.end, Passed: q.From.Passed, Room: q.From.Room, Sender: q.From.Sender}
	if next.Before == 0 && len(hits) > 0 {
		next.Before = hits[0].ID + 1 // what comes later does not move the pages
	}
	switch {
	case p.end < len(p.sorted):
	case full: // the window is used up: the next page looks through an older one
		next = Token{Before: hits[len(hits)-1].ID, Passed: p.Count, Room: q.From.Room, Sender: q.From.Sender}
	case len(part) < limit:
		return part
	}
	// Why also after a page that is just full: clients and tests of other servers know it so, and find an empty page.
	p.Next = &next
	return part
}

// highlight notes which written words of a result were meant.
func (p *Page) highlight(f Found, terms []string) {
	for _, w := range words.In(rooms.SearchText(f.Event), terms) {
		if !slices.Contains(p.Highlights, w) {
			p.Highlights = append(p.Highlights, w)
		}
	}
}

func isNotFound(err error) bool {
	return errors.Is(err, storage.ErrNotFound)
}
