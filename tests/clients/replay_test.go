package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

type object = map[string]any

// phone is Element X on one device, request by request: MSC4186 and its extensions as matrix-rust-sdk asks for them. It has
// two connections, one for keys and messages to the device, and one for rooms.
type phone struct {
	*mx.Client
	t             *testing.T
	rooms, keys   string // places on the two connections
	since         string // in messages to the device
	subscriptions object
}

// phoneAnswer is what a phone reads of an answer.
type phoneAnswer struct {
	Pos   string                         `json:"pos"`
	Lists map[string]struct{ Count int } `json:"lists"`
	Rooms map[string]*struct {
		Name     string     `json:"name"`
		Initial  bool       `json:"initial"`
		Expanded bool       `json:"unstable_expanded_timeline"`
		Limited  bool       `json:"limited"`
		Live     int        `json:"num_live"`
		Bump     int64      `json:"bump_stamp"`
		Prev     string     `json:"prev_batch"`
		State    []mx.Event `json:"required_state"`
		Timeline []mx.Event `json:"timeline"`
		Invite   []mx.Event `json:"invite_state"`
		Joined   int        `json:"joined_count"`
	} `json:"rooms"`
	Extensions struct {
		ToDevice struct {
			Next   string            `json:"next_batch"`
			Events []json.RawMessage `json:"events"`
		} `json:"to_device"`
		E2EE struct {
			Counts map[string]int `json:"device_one_time_keys_count"`
			Unused []string       `json:"device_unused_fallback_key_types"`
			Lists  struct{ Changed []string }
		} `json:"e2ee"`
		Account struct {
			Global []mx.Event            `json:"global"`
			Rooms  map[string][]mx.Event `json:"rooms"`
		} `json:"account_data"`
		Receipts struct {
			Rooms map[string]mx.Event `json:"rooms"`
		} `json:"receipts"`
	} `json:"extensions"`
}

func (p *phone) do(method, path string, body, out any) {
	p.t.Helper()
	mx.Must(p.t, p.Do(p.t.Context(), method, "/_matrix/client"+path, body, out))
}

func (p *phone) sync(pos string, timeout int, body object) *phoneAnswer {
	p.t.Helper()
	query := url.Values{"timeout": {fmt.Sprint(timeout)}}
	if pos != "" {
		query.Set("pos", pos)
	}
	a := &phoneAnswer{}
	p.do("POST", "/unstable/org.matrix.simplified_msc3575/sync?"+query.Encode(), body, a)
	return a
}

// syncRooms asks for the list of rooms up to the last one wanted.
func (p *phone) syncRooms(last, timeout int) *phoneAnswer {
	p.t.Helper()
	state := [][]string{{"m.room.name", ""}, {"m.room.encryption", ""}, {"m.room.member", "$LAZY"}, {"m.room.member", "$ME"},
		{"m.room.topic", ""}, {"m.room.avatar", ""}, {"m.room.canonical_alias", ""}, {"m.room.power_levels", ""},
		{"org.matrix.msc3401.call.member", "*"}, {"m.room.join_rules", ""}, {"m.room.tombstone", ""}, {"m.room.create", ""},
		{"m.room.history_visibility", ""}, {"io.element.functional_members", ""}, {"m.space.parent", "*"}, {"m.space.child", "*"},
		{"org.matrix.msc3672.beacon_info", "*"}}
	body := object{
		"conn_id": "room-list",
		"lists": object{"all_rooms": object{"ranges": [][]int{{0, last}}, "timeline_limit": 1, "required_state": state,
			"filters": object{}}},
		"extensions": object{"account_data": object{"enabled": true}, "receipts": object{"enabled": true, "rooms": []string{"*"}},
			"typing": object{"enabled": true}},
	}
	if len(p.subscriptions) > 0 {
		body["room_subscriptions"] = p.subscriptions
	}
	a := p.sync(p.rooms, timeout, body)
	p.rooms = a.Pos
	return a
}

// syncKeys asks for keys and messages to the device.
func (p *phone) syncKeys(timeout int) *phoneAnswer {
	p.t.Helper()
	toDevice := object{"enabled": true}
	if p.since != "" {
		toDevice["since"] = p.since
	}
	a := p.sync(p.keys, timeout, object{"conn_id": "encryption", "extensions": object{"e2ee": object{"enabled": true}, "to_device": toDevice}})
	p.keys, p.since = a.Pos, a.Extensions.ToDevice.Next
	return a
}

// open subscribes to a room as opening it does.
func (p *phone) open(room string) {
	p.subscriptions = object{room: object{"timeline_limit": 20, "required_state": [][]string{{"m.room.name", ""}, {"m.room.member", "$LAZY"},
		{"m.room.member", "$ME"}, {"m.room.create", ""}, {"m.room.pinned_events", ""}}}}
}

// Element X's first start, room list, an opened room, a message, the pusher, an end of the server without warning, and the
// app's next start with the places it kept.
func TestElementXReplay(t *testing.T) {
	onEngines(t, func(t *testing.T, o live.Options) {
		o.Extra = "push:\n  allow: [\"push.example\"]\n"
		server := live.Start(t, o)
		friend, err := mx.Register(t.Context(), server.URL, "friend")
		mx.Must(t, err)
		account, err := mx.Register(t.Context(), server.URL, "phone")
		mx.Must(t, err)
		p := &phone{Client: account, t: t}
		rooms := p.fill(friend, 30)

		var versions struct {
			Unstable map[string]bool `json:"unstable_features"`
		}
		p.do("GET", "/versions", nil, &versions)
		if !versions.Unstable["org.matrix.simplified_msc3575"] {
			t.Fatal("the server does not say that it speaks sliding sync")
		}
		if a := p.syncKeys(0); a.Extensions.E2EE.Counts["signed_curve25519"] != 0 || a.Extensions.E2EE.Unused == nil || a.Extensions.ToDevice.Next == "" {
			t.Errorf("first keys: %+v", a)
		}
		p.firstList(rooms)
		p.openRoom(friend, rooms[3])
		p.do("POST", "/v3/pushers/set", object{"app_id": "io.element.elementx.android", "app_display_name": "Element X",
			"device_display_name": "phone", "pushkey": "key", "kind": "http", "lang": "fr",
			"data": object{"url": "https://push.example/_matrix/push/v1/notify", "format": "event_id_only"}}, nil)

		sent := p.say(friend, rooms[7], "while the server ends")
		server.Kill()
		server.Restart()
		a := p.syncRooms(30, 0)
		if r := a.Rooms[rooms[7]]; r == nil || !slices.ContainsFunc(r.Timeline, func(e mx.Event) bool { return e.ID == sent }) {
			t.Errorf("after the server's end: %+v", a)
		}
		p.subscriptions = nil
		p.say(friend, rooms[8], "while the app is closed")
		server.Stop()
		server.Restart()
		if a := p.syncRooms(19, 0); len(a.Rooms) != 1 || a.Rooms[rooms[8]] == nil || a.Rooms[rooms[8]].Initial {
			t.Errorf("the app starts again with the place it kept: %+v", a)
		}
		if a := p.syncKeys(0); len(a.Extensions.ToDevice.Events) != 0 {
			t.Errorf("messages to the device: %+v", a)
		}
	})
}

// fill makes rooms with the friend in which something is said, the last one with an invitation only.
func (p *phone) fill(friend *mx.Client, n int) (rooms []string) {
	p.t.Helper()
	for i := range n {
		room, err := friend.CreateRoom(p.t.Context(), object{"preset": "private_chat", "name": fmt.Sprint("Room ", i), "invite": []string{p.UserID}})
		mx.Must(p.t, err)
		if i < n-1 {
			mx.Must(p.t, p.Join(p.t.Context(), room))
		}
		p.say(friend, room, "hello")
		rooms = append(rooms, room)
	}
	return rooms
}

func (p *phone) say(who *mx.Client, room, text string) string {
	p.t.Helper()
	id, err := who.Send(context.Background(), room, "t"+text, text)
	mx.Must(p.t, err)
	return id
}

// firstList shows the first rooms at once, then the others.
func (p *phone) firstList(rooms []string) {
	p.t.Helper()
	a := p.syncRooms(19, 0)
	if a.Lists["all_rooms"].Count != len(rooms) || len(a.Rooms) != 20 || len(a.Extensions.Account.Global) == 0 {
		p.t.Fatalf("first list: %+v", a)
	}
	r := a.Rooms[rooms[len(rooms)-2]]
	if r == nil || !r.Initial || r.Name == "" || len(r.Timeline) != 1 || r.Bump == 0 || r.Joined != 2 || len(r.State) < 7 {
		p.t.Fatalf("a room of the first list: %+v", r)
	}
	if r := a.Rooms[rooms[len(rooms)-1]]; r == nil || len(r.Invite) == 0 || len(r.Timeline) != 0 {
		p.t.Errorf("an invitation: %+v", r)
	}
	if a := p.syncRooms(len(rooms)-1, 0); len(a.Rooms) != len(rooms)-20 {
		p.t.Errorf("the rest of the list: %d rooms", len(a.Rooms))
	}
}

// openRoom opens a room, reads back, says something and reads what the friend answers.
func (p *phone) openRoom(friend *mx.Client, room string) {
	p.t.Helper()
	p.open(room)
	r := p.syncRooms(30, 30_000).Rooms[room]
	if r == nil || !r.Expanded || r.Initial || len(r.Timeline) < 8 || r.Live != 0 {
		p.t.Fatalf("an opened room: %+v", r)
	}
	own := p.say(p.Client, room, "from the phone")
	r = p.syncRooms(30, 30_000).Rooms[room]
	if r == nil || len(r.Timeline) != 1 || r.Timeline[0].ID != own || r.Timeline[0].Unsigned.TxnID == "" || r.Limited {
		p.t.Fatalf("the own message: %+v", r)
	}
	p.do("POST", "/v3/rooms/"+url.PathEscape(room)+"/receipt/m.read/"+url.PathEscape(own), object{}, nil)
	if a := p.syncRooms(30, 30_000); a.Extensions.Receipts.Rooms[room].Type != "m.receipt" {
		p.t.Errorf("the own receipt: %+v", a)
	}
	var page struct {
		Chunk []mx.Event `json:"chunk"`
	}
	p.do("GET", "/v3/rooms/"+url.PathEscape(room)+"/messages?dir=b&limit=50&from="+url.QueryEscape(r.Prev), nil, &page)
	if len(page.Chunk) == 0 || slices.ContainsFunc(page.Chunk, func(e mx.Event) bool { return e.ID == own }) {
		p.t.Errorf("what was before: %+v", page)
	}
	heard := p.say(friend, room, "from the friend")
	if r := p.syncRooms(30, 30_000).Rooms[room]; r == nil || r.Timeline[0].ID != heard || r.Live != 1 {
		p.t.Errorf("the friend's message: %+v", r)
	}
}
