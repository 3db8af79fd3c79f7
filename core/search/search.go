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
	hits = slices.DeleteFunc(hits, func(h storage.SearchHit) bool { return len(q.Fields) > 0 && !slices.Contains(q.Fields, h.Field) })
	if page.sorted, err = s.seen(ctx, c, q, scope, hits, terms); err != nil {
		return nil, err
	}
	if !q.Recent {
		slices.SortStableFunc(page.sorted, func(a, b Found) int { return cmp.Compare(b.Rank, a.Rank) })
	}
	page.cut(q, hits, full)
	for _, f := range page.Results {
		page.highlight(f, terms)
	}
	return page, nil
}

// seen keeps what the user may see and asked for, in the order of the hits.
func (s *Service) seen(ctx context.Context, c matrix.Caller, q *Request, scope map[int64]storage.MembershipRow,
	hits []storage.SearchHit, terms []string,
) ([]Found, error) {
	ignored, err := s.ignored(ctx, c.UserNID)
	if err != nil {
		return nil, err
	}
	nids := make([]int64, len(hits))
	for i, h := range hits {
		nids[i] = h.Event
	}
	events, err := s.rooms.Events(ctx, nids)
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e *rooms.Stored) bool {
		return e.RedactedBy != nil || ignored[e.Sender] || !q.Filter.Match(e.Event)
	})
	if events, err = s.rooms.VisibleAcross(ctx, c.User, scope, events); err != nil {
		return nil, err
	}
	found := make(map[int64]Found, len(events))
	for _, e := range events {
		if rooms.SearchText(e) == "" {
			continue // its sender wanted to be forgotten: the words are gone
		}
		room, err := s.rooms.RoomByNID(ctx, e.Row.Room)
		if err != nil {
			return nil, err
		}
		found[e.Row.NID] = Found{Room: room, Event: e}
	}
	out := make([]Found, 0, len(found))
	newest := int64(0)
	for _, f := range found {
		newest = max(newest, f.Event.OriginServerTS)
	}
	for _, h := range hits {
		if f, ok := found[h.Event]; ok {
			f.id, f.Rank = h.ID, rank(h.Words, terms, newest-f.Event.OriginServerTS)
			out = append(out, f)
		}
	}
	return out, nil
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

// cut takes the page's own part of what was found, and says where the next one starts.
func (p *Page) cut(q *Request, hits []storage.SearchHit, full bool) {
	limit := defaultPage
	if q.Filter != nil && q.Filter.Limit > 0 {
		limit = min(q.Filter.Limit, maxPage)
	}
	begin := min(q.From.Offset, len(p.sorted))
	p.end = min(begin+limit, len(p.sorted))
	p.Results = p.sorted[begin:p.end]
	p.Count = q.From.Passed + len(p.sorted)
	next := Token{Before: q.From.Before, Offset: p.end, Passed: q.From.Passed, Room: q.From.Room, Sender: q.From.Sender}
	if next.Before == 0 && len(hits) > 0 {
		next.Before = hits[0].ID + 1 // what comes later does not move the pages
	}
	switch {
	case p.end < len(p.sorted):
	case full: // the window is used up: the next page looks through an older one
		next = Token{Before: hits[len(hits)-1].ID, Passed: p.Count, Room: q.From.Room, Sender: q.From.Sender}
	case len(p.Results) < limit:
		return
	}
	// Why also after a page that is just full: clients and tests of other servers know it so, and find an empty page.
	p.Next = &next
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
