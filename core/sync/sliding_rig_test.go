package sync_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
)

// slider is a connection of sliding sync of a client.
type slider struct {
	*client
	conn, pos string
	stable    bool
	body      object // what is asked, beside pos
}

func (c *client) slider(body object) *slider { return &slider{client: c, body: body} }

// on is the same connection at another process.
func (s *slider) on(r *rig) *slider {
	other := *s
	other.client = s.client.on(r)
	return &other
}

// try asks once with the connection's place, without keeping the new one.
func (s *slider) try(wait time.Duration) (*slid, error) {
	s.t.Helper()
	body := maps.Clone(s.body)
	if s.conn != "" {
		body["conn_id"] = s.conn
	}
	raw, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	q, err := syncing.ParseSliding(raw, s.id(), s.stable)
	if err != nil {
		return nil, err
	}
	q.Pos, q.Timeout = s.pos, wait
	a, err := s.sync.Slide(ctx, &s.caller, q)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	out := &slid{t: s.t, raw: string(a.Bytes())}
	if err := json.Unmarshal(a.Bytes(), out); err != nil {
		s.t.Fatalf("the answer is not JSON: %v\n%s", err, a.Bytes())
	}
	return out, nil
}

func (s *slider) ask() *slid {
	s.t.Helper()
	a, err := s.try(0)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// next asks and keeps the place.
func (s *slider) next() *slid {
	s.t.Helper()
	a := s.ask()
	s.pos = a.Pos
	return a
}

// quiet asserts that there is nothing to tell.
func (s *slider) quiet() {
	s.t.Helper()
	if a := s.next(); len(a.Rooms) > 0 || len(a.Ext.Account.Global)+len(a.Ext.Account.Rooms)+len(a.Ext.Receipts.Rooms)+len(a.Ext.Typing.Rooms) > 0 {
		s.t.Errorf("news where there are none: %s", a.raw)
	}
}

type slidRoom struct {
	Name       *string `json:"name"`
	Avatar     *string `json:"avatar"`
	Initial    bool    `json:"initial"`
	Limited    bool    `json:"limited"`
	Expanded   bool    `json:"expanded_timeline"`
	Unstable   bool    `json:"unstable_expanded_timeline"`
	DM         *bool   `json:"is_dm"`
	State      []event `json:"required_state"`
	Timeline   []event `json:"timeline"`
	Invite     []event `json:"invite_state"`
	Stripped   []event `json:"stripped_state"`
	Prev       string  `json:"prev_batch"`
	Live       int     `json:"num_live"`
	Joined     *int    `json:"joined_count"`
	Invited    *int    `json:"invited_count"`
	Notify     *int    `json:"notification_count"`
	Highlight  *int    `json:"highlight_count"`
	Bump       int64   `json:"bump_stamp"`
	Membership string  `json:"membership"`
	Lists      []string
	Heroes     []struct {
		User matrix.UserID `json:"user_id"`
		Name string        `json:"displayname"`
	} `json:"heroes"`
}

func (r *slidRoom) bodies() []string { return events{r.Timeline}.bodies() }

// types lists what state there is, sorted.
func (r *slidRoom) types() []string {
	out := []string{}
	for _, e := range r.State {
		key := ""
		if e.StateKey != nil {
			key = *e.StateKey
		}
		out = append(out, e.Type+"|"+key)
	}
	slices.Sort(out)
	return out
}

type slid struct {
	t     testing.TB
	raw   string
	Pos   string                         `json:"pos"`
	TxnID string                         `json:"txn_id"`
	Lists map[string]struct{ Count int } `json:"lists"`
	Rooms map[matrix.RoomID]*slidRoom    `json:"rooms"`
	Ext   struct {
		ToDevice *struct {
			Next   string  `json:"next_batch"`
			Events []event `json:"events"`
		} `json:"to_device"`
		E2EE struct {
			Lists  struct{ Changed, Left []matrix.UserID } `json:"device_lists"`
			Counts map[string]int                          `json:"device_one_time_keys_count"`
			Unused []string                                `json:"device_unused_fallback_key_types"`
		} `json:"e2ee"`
		Account struct {
			Global []event                   `json:"global"`
			Rooms  map[matrix.RoomID][]event `json:"rooms"`
		} `json:"account_data"`
		Receipts struct {
			Rooms map[matrix.RoomID]event `json:"rooms"`
		} `json:"receipts"`
		Typing struct {
			Rooms map[matrix.RoomID]event `json:"rooms"`
		} `json:"typing"`
		Sticky stuckIn `json:"org.matrix.msc4354.sticky_events"`
	} `json:"extensions"`
}

// room is the part about a room, which must be there.
func (a *slid) room(room *rooms.Room) *slidRoom {
	a.t.Helper()
	r := a.Rooms[room.ID()]
	if r == nil {
		a.t.Fatalf("room %s is missing in %s", room.ID(), a.raw)
	}
	return r
}

// ids lists the rooms of an answer, sorted.
func (a *slid) ids() []matrix.RoomID { return slices.Sorted(maps.Keys(a.Rooms)) }

func idsOf(list ...*rooms.Room) []matrix.RoomID {
	out := []matrix.RoomID{}
	for _, r := range list {
		out = append(out, r.ID())
	}
	slices.Sort(out)
	return out
}

// window is one list of the older dialect over the first rooms.
func window(last, limit int, state ...[]string) object {
	if state == nil {
		state = [][]string{}
	}
	return object{"lists": object{"all": object{"ranges": [][]int{{0, last}}, "timeline_limit": limit, "required_state": state}}}
}
