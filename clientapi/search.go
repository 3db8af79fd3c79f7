package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/rooms"
	"rempart/core/search"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type searchRequest struct {
	Categories struct {
		RoomEvents *searchCriteria `json:"room_events"`
	} `json:"search_categories"`
}

type searchCriteria struct {
	Term     *string            `json:"search_term"`
	Keys     []string           `json:"keys"`
	Filter   *rooms.EventFilter `json:"filter"`
	OrderBy  string             `json:"order_by"`
	State    bool               `json:"include_state"`
	Context  *searchContext     `json:"event_context"`
	Grouping struct {
		By []struct {
			Key string `json:"key"`
		} `json:"group_by"`
	} `json:"groupings"`
}

type searchContext struct {
	Before  *int `json:"before_limit"`
	After   *int `json:"after_limit"`
	Profile bool `json:"include_profile"`
}

type searchAnswer struct {
	Categories struct {
		RoomEvents *searchEvents `json:"room_events,omitempty"`
	} `json:"search_categories"`
}

type searchEvents struct {
	Count      int                                `json:"count"`
	Highlights []string                           `json:"highlights"`
	Results    []searchResult                     `json:"results"`
	State      map[string][]json.RawMessage       `json:"state,omitempty"`
	Groups     map[string]map[string]*searchGroup `json:"groups,omitempty"`
	NextBatch  string                             `json:"next_batch,omitempty"`
}

type searchResult struct {
	Rank    float64         `json:"rank"`
	Result  json.RawMessage `json:"result"`
	Context *foundContext   `json:"context,omitempty"`
}

type foundContext struct {
	Start    string                          `json:"start"`
	End      string                          `json:"end"`
	Before   []json.RawMessage               `json:"events_before"`
	After    []json.RawMessage               `json:"events_after"`
	Profiles map[matrix.UserID]memberContent `json:"profile_info,omitempty"`
}

type searchGroup struct {
	Order     int              `json:"order"`
	Results   []matrix.EventID `json:"results"`
	NextBatch string           `json:"next_batch,omitempty"`
}

// searchRoutes adds the search for events. Spec: client-server-api/#server-side-search
func searchRoutes(r *httpx.Router, d Deps) {
	httpx.Handle(r, "POST", "/_matrix/client/v3/search", limited(ofUser("search"), "search"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in searchRequest) (*searchAnswer, error) {
			out := &searchAnswer{}
			if in.Categories.RoomEvents == nil {
				return out, nil
			}
			q, err := in.Categories.RoomEvents.request(p.Query().Get("next_batch"))
			if err != nil {
				return nil, err
			}
			page, err := d.Search.Search(ctx, c, q)
			if err != nil {
				return nil, err
			}
			out.Categories.RoomEvents, err = d.renderFound(ctx, c, in.Categories.RoomEvents, page)
			return out, err
		})
}

// request is what the core is asked.
func (in *searchCriteria) request(from string) (*search.Request, error) {
	if in.Term == nil {
		return nil, matrix.MissingParam("search_term says what to search for.")
	}
	q := &search.Request{Term: *in.Term, Filter: in.Filter}
	if err := in.Filter.Check(); err != nil {
		return nil, err
	}
	switch in.OrderBy {
	case "recent":
		q.Recent = true
	case "", "rank":
	default:
		return nil, matrix.InvalidParam("order_by must be recent or rank.")
	}
	for _, key := range in.Keys {
		field, ok := search.Fields()[key]
		if !ok {
			return nil, matrix.InvalidParam("keys may name content.body, content.name and content.topic.")
		}
		q.Fields = append(q.Fields, field)
	}
	for _, g := range in.Grouping.By {
		if g.Key != search.ByRoom && g.Key != search.BySender {
			return nil, matrix.InvalidParam("Results can be grouped by room_id and sender.")
		}
	}
	var err error
	q.From, err = search.ParseToken(from)
	return q, err
}

// renderFound makes the answer of a page.
func (d Deps) renderFound(ctx context.Context, c matrix.Caller, in *searchCriteria, page *search.Page) (*searchEvents, error) {
	out := &searchEvents{Count: page.Count, Highlights: page.Highlights, Results: make([]searchResult, len(page.Results))}
	if page.Next != nil {
		out.NextBatch = page.Next.String()
	}
	for i, f := range page.Results {
		event, err := d.Rooms.RenderOne(ctx, f.Room, c, f.Event)
		if err != nil {
			return nil, err
		}
		out.Results[i] = searchResult{Rank: f.Rank, Result: event}
		if in.Context != nil {
			if out.Results[i].Context, err = d.foundContext(ctx, c, in.Context, f); err != nil {
				return nil, err
			}
		}
		if err := d.foundState(ctx, c, in, f.Room, out); err != nil {
			return nil, err
		}
	}
	for _, by := range in.Grouping.By {
		if out.Groups == nil {
			out.Groups = map[string]map[string]*searchGroup{}
		}
		out.Groups[by.Key] = searchGroups(page.Groups(by.Key))
	}
	return out, nil
}

func searchGroups(groups map[string]*search.Group) map[string]*searchGroup {
	out := map[string]*searchGroup{}
	for key, g := range groups {
		out[key] = &searchGroup{Order: g.Order, Results: g.Results}
		if g.Next != nil {
			out[key].NextBatch = g.Next.String()
		}
	}
	return out
}

// foundState adds the state of a result's room as the caller may read it.
func (d Deps) foundState(ctx context.Context, c matrix.Caller, in *searchCriteria, room *rooms.Room, out *searchEvents) error {
	if !in.State || out.State[string(room.ID())] != nil {
		return nil
	}
	events, err := d.Rooms.State(ctx, room, c.User)
	if err != nil {
		return err
	}
	if out.State == nil {
		out.State = map[string][]json.RawMessage{}
	}
	out.State[string(room.ID())], err = d.Rooms.Render(ctx, room, c, events)
	return err
}

// foundContext makes ready what stands around a result.
func (d Deps) foundContext(ctx context.Context, c matrix.Caller, in *searchContext, f search.Found) (*foundContext, error) {
	around, err := d.Search.Context(ctx, c, f, orFive(in.Before), orFive(in.After), in.Profile)
	if err != nil {
		return nil, err
	}
	out := &foundContext{Start: around.Start.String(), End: around.End.String()}
	if out.Before, err = d.Rooms.Render(ctx, f.Room, c, around.Before); err != nil {
		return nil, err
	}
	if out.After, err = d.Rooms.Render(ctx, f.Room, c, around.After); err != nil {
		return nil, err
	}
	if in.Profile {
		out.Profiles = map[matrix.UserID]memberContent{}
	}
	for _, e := range around.Profiles {
		var m memberContent
		_ = matrix.Decode(e.Content, &m) // a member whose content is odd has no profile
		out.Profiles[matrix.UserID(*e.StateKey)] = m
	}
	return out, nil
}

// orFive is the number of events on one side, which is five unless it is given.
func orFive(n *int) int {
	if n == nil {
		return 5
	}
	return *n
}
