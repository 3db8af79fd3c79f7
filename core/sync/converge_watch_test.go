package sync_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	syncing "rempart/core/sync"
	"rempart/internal/matrix"
)

// syncWatcher is a client of /sync.
type syncWatcher struct {
	*client
	w    *world
	rnd  *rand.Rand
	know *known
	lazy bool
}

func newSyncWatcher(w *world, c *client, rnd *rand.Rand) *syncWatcher {
	own := *c
	s := &syncWatcher{client: &own, w: w, rnd: rnd, know: newKnown(), lazy: rnd.IntN(4) == 0}
	own.filter = fmt.Sprintf(`{"room":{"timeline":{"limit":%d},"state":{"lazy_load_members":%v}}}`, 1+rnd.IntN(12), s.lazy)
	own.after = rnd.IntN(3) == 0
	return s
}

func (s *syncWatcher) of() *client   { return s.client }
func (s *syncWatcher) state() *known { return s.know }
func (s *syncWatcher) String() string {
	return fmt.Sprintf("%s %s (sync %s after=%v)", s.id(), s.caller.Device, s.filter, s.after)
}

// step syncs at one of the nodes. Now and then the answer is lost on its way.
func (s *syncWatcher) step(wait time.Duration) bool {
	r := s.w.node(s.rnd)
	away(r, s.client, s.rnd)
	at := s.client.on(r)
	if s.rnd.IntN(10) == 0 {
		at.ask(syncing.Request{})
	}
	a := at.ask(syncing.Request{Timeout: wait})
	first := s.since == ""
	s.since = a.NextBatch
	news := s.take(r, a)
	if first {
		s.know.takeLists(r, s.know.members(s.id()), nil)
	}
	s.know.takeLists(r, a.Lists.Changed, a.Lists.Left)
	return news
}

func (s *syncWatcher) take(r *rig, a *answer) bool {
	k := s.know
	for id, j := range a.Rooms.Join {
		s.takeJoined(r, id, j)
	}
	for id := range a.Rooms.Invite {
		k.room(id).membership = "invite"
	}
	for id := range a.Rooms.Knock {
		k.room(id).membership = "knock"
	}
	for id, j := range a.Rooms.Leave {
		room := k.room(id)
		room.membership = "leave"
		room.takeTimeline(r, id, s.id(), j.Timeline.Events, j.Timeline.Limited, j.Timeline.Prev)
	}
	takeAccount(k.account, a.Account.Events)
	for _, e := range a.Presence.Events {
		k.presence[e.Sender] = show(e.Content)
	}
	k.takeMessages(a.ToDevice.Events)
	k.keys = a.Keys["signed_curve25519"]
	return len(a.Rooms.Join)+len(a.Rooms.Invite)+len(a.Rooms.Knock)+len(a.Rooms.Leave)+len(a.Account.Events)+len(a.Presence.Events)+
		len(a.ToDevice.Events)+len(a.Lists.Changed)+len(a.Lists.Left) > 0
}

func (s *syncWatcher) takeJoined(r *rig, id matrix.RoomID, j *joined) {
	room := s.know.room(id)
	room.membership = "join"
	if s.after {
		room.takeState(j.StateAfter.Events)
	} else {
		room.takeState(j.State.Events)
		room.takeState(j.Timeline.Events)
	}
	room.takeTimeline(r, id, s.id(), j.Timeline.Events, j.Timeline.Limited, j.Timeline.Prev)
	for _, e := range j.Ephemeral.Events {
		if e.Type == "m.typing" {
			room.typing = len(e.Content["user_ids"].([]any))
		} else {
			room.takeReceipts(e.Content)
		}
	}
	takeAccount(room.account, j.Account.Events)
	if j.Unread != nil {
		room.unread = *j.Unread
	}
	if n, ok := j.Summary["m.joined_member_count"].(float64); ok {
		room.joined = int(n)
	}
	if n, ok := j.Summary["m.invited_member_count"].(float64); ok {
		room.invited = int(n)
	}
	if list, ok := j.Summary["m.heroes"].([]any); ok {
		room.heroes = nil
		for _, h := range list {
			room.heroes = append(room.heroes, matrix.UserID(h.(string)))
		}
	}
}

// slideWatcher is a client of sliding sync.
type slideWatcher struct {
	*slider
	w     *world
	rnd   *rand.Rand
	know  *known
	since string // place in the messages to the device
}

func newSlideWatcher(w *world, c *client, rnd *rand.Rand) *slideWatcher {
	own := *c
	on := object{"enabled": true}
	s := &slideWatcher{w: w, rnd: rnd, know: newKnown()}
	s.slider = own.slider(object{
		"lists":      object{"all": object{"ranges": [][]int{{0, 99}}, "timeline_limit": 1 + rnd.IntN(12), "required_state": [][]string{{"*", "*"}}}},
		"extensions": object{"e2ee": on, "account_data": on, "receipts": on, "typing": on, "to_device": object{"enabled": true, "limit": 100}},
	})
	return s
}

func (s *slideWatcher) of() *client   { return s.client }
func (s *slideWatcher) state() *known { return s.know }
func (s *slideWatcher) String() string {
	return fmt.Sprintf("%s %s (sliding)", s.id(), s.caller.Device)
}

func (s *slideWatcher) step(wait time.Duration) bool {
	r := s.w.node(s.rnd)
	away(r, s.client, s.rnd)
	at := s.slider.on(r)
	at.body["extensions"].(object)["to_device"] = object{"enabled": true, "limit": 100, "since": s.since}
	if s.since == "" {
		delete(at.body["extensions"].(object)["to_device"].(object), "since")
	}
	if s.rnd.IntN(10) == 0 {
		_, _ = at.try(0) // the answer is lost on its way
	}
	a, err := at.try(wait)
	if matrix.HasCode(err, matrix.CodeUnknownPos) {
		s.pos = ""
		return true
	}
	if err != nil {
		s.w.errorf("%s: %v", s, err)
		return false
	}
	first := s.pos == ""
	s.pos = a.Pos
	news := s.take(r, a)
	if first {
		s.know.takeLists(r, s.know.members(s.id()), nil)
	}
	s.know.takeLists(r, a.Ext.E2EE.Lists.Changed, a.Ext.E2EE.Lists.Left)
	return news
}

func (s *slideWatcher) take(r *rig, a *slid) bool {
	k, x := s.know, &a.Ext
	for id, j := range a.Rooms {
		s.takeRoom(r, id, j)
	}
	takeAccount(k.account, x.Account.Global)
	for id, list := range x.Account.Rooms {
		takeAccount(k.room(id).account, list)
	}
	for id, e := range x.Receipts.Rooms {
		k.room(id).takeReceipts(e.Content)
	}
	for id, e := range x.Typing.Rooms {
		k.room(id).typing = len(e.Content["user_ids"].([]any))
	}
	messages := 0
	if x.ToDevice != nil {
		s.since, messages = x.ToDevice.Next, len(x.ToDevice.Events)
		k.takeMessages(x.ToDevice.Events)
	}
	if n, ok := x.E2EE.Counts["signed_curve25519"]; ok {
		k.keys = n
	}
	return len(a.Rooms)+len(x.Account.Global)+len(x.Account.Rooms)+len(x.Receipts.Rooms)+len(x.Typing.Rooms)+messages+
		len(x.E2EE.Lists.Changed)+len(x.E2EE.Lists.Left) > 0
}

func (s *slideWatcher) takeRoom(r *rig, id matrix.RoomID, j *slidRoom) {
	room := s.know.room(id)
	if j.Invite != nil {
		room.membership = "invite"
		for _, e := range j.Invite {
			if e.Type == "m.room.member" && *e.StateKey == string(s.id()) {
				room.membership = e.Content["membership"].(string)
			}
		}
		return
	}
	room.takeState(j.Timeline)
	room.takeState(j.State)
	room.takeTimeline(r, id, s.id(), j.Timeline, j.Limited || j.Initial, j.Prev)
	room.membership = "join"
	for _, list := range [][]event{j.Timeline, j.State} {
		for _, e := range list {
			if e.Type == "m.room.member" && *e.StateKey == string(s.id()) {
				room.membership = e.Content["membership"].(string)
			}
		}
	}
	for _, n := range []struct {
		from *int
		to   *int
	}{{j.Joined, &room.joined}, {j.Invited, &room.invited}, {j.Notify, &room.unread.Notify}, {j.Highlight, &room.unread.Highlight}} {
		if n.from != nil {
			*n.to = *n.from
		}
	}
	if j.Heroes != nil {
		room.heroes = nil
		for _, h := range j.Heroes {
			room.heroes = append(room.heroes, h.User)
		}
	}
}
