package sync_test

import (
	"encoding/json"
	"fmt"
	"slices"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// truth is what is so in the end.
type truth struct {
	w *world
	r *rig
	// fresh is a service that has heard of nothing.
	fresh *syncing.Service
}

// compare has everything settle and looks at what each client knows.
func (w *world) compare() {
	w.t.Helper()
	w.settle()
	r := w.nodes[0]
	t := &truth{w: w, r: r, fresh: syncing.New(syncing.Options{DB: r.db, Rooms: r.rooms, Push: r.push, Bus: bus.New[storage.Batch]()})}
	defer t.fresh.Close()
	for _, c := range w.watchers {
		t.check(c)
	}
}

func (t *truth) must(err error) {
	t.w.t.Helper()
	if err != nil {
		t.w.t.Fatal(err)
	}
}

func (t *truth) check(c watcher) {
	t.w.t.Helper()
	k, user := c.state(), c.of().caller
	rows, err := t.r.db.ListMembershipsOf(ctx, user.UserNID)
	t.must(err)
	first := t.first(c)
	data, err := t.r.db.ListAccountData(ctx, user.UserNID, 0, 1<<60)
	t.must(err)
	for _, m := range rows {
		room, err := t.r.rooms.RoomByNID(ctx, m.Room)
		t.must(err)
		got := k.rooms[room.ID()]
		if got == nil {
			got = newKnown().room(room.ID())
		}
		is := map[storage.Membership]string{storage.MemberJoin: "join", storage.MemberInvite: "invite", storage.MemberKnock: "knock",
			storage.MemberLeave: "leave", storage.MemberBan: "leave"}[m.Membership]
		was := got.membership
		if was == "ban" || was == "" {
			was = "leave"
		}
		if was != is {
			t.w.errorf("%s takes itself for %q in %s, it is %q (%+v)", c, got.membership, room.ID(), is, m)
			continue
		}
		if is == "join" {
			t.checkRoom(c, room, got, first.Rooms.Join[room.ID()])
			t.checkAccount(c, got.account, data, room.NID())
		}
		// Of a stay that ended before they heard of it clients hear as they come in again; who slides, nothing at all if he left himself.
		if _, slides := c.(*slideWatcher); !got.blind && !m.Forgotten && (is == "join" || is == "leave" && !slides) {
			t.checkTimeline(c, &m, room, got)
		}
	}
	t.checkAccount(c, k.account, data, 0)
	t.checkLists(c)
	t.checkMessages(c)
	if s, ok := c.(*syncWatcher); ok && len(t.w.nodes) == 1 && !t.w.restarted {
		t.checkPresence(s)
	}
	n, err := t.r.db.CountOneTimeKeys(ctx, user.DeviceNID)
	t.must(err)
	if int64(k.keys) != n["signed_curve25519"] {
		t.w.errorf("%s counts %d keys of %v", c, k.keys, n)
	}
}

// first is what a client that begins is told by a service that has heard of nothing.
func (t *truth) first(c watcher) *answer {
	caller := c.of().caller
	f, err := t.fresh.FilterOf(ctx, &caller, `{"room":{"timeline":{"limit":1}}}`)
	t.must(err)
	a, err := t.fresh.Sync(ctx, &caller, syncing.Request{Filter: f})
	t.must(err)
	defer a.Release()
	out := &answer{t: t.w.t, raw: string(a.Bytes())}
	t.must(json.Unmarshal(a.Bytes(), out))
	return out
}

func (t *truth) checkRoom(c watcher, room *rooms.Room, got *knownRoom, is *joined) {
	if is == nil {
		t.w.errorf("%s: a first sync lacks %s", c, room.ID())
		return
	}
	if got.unread != *is.Unread {
		t.w.errorf("%s counts %+v unread in %s, it is %+v", c, got.unread, room.ID(), *is.Unread)
	}
	var heroes []matrix.UserID
	for _, h := range t.list(is.Summary["m.heroes"]) {
		heroes = append(heroes, matrix.UserID(h.(string)))
	}
	if is.Summary["m.joined_member_count"] != float64(got.joined) || is.Summary["m.invited_member_count"] != float64(got.invited) ||
		is.Summary["m.heroes"] != nil && !slices.Equal(heroes, got.heroes) {
		t.w.errorf("%s has %d joined, %d invited, heroes %v in %s, it is %v", c, got.joined, got.invited, got.heroes, room.ID(), is.Summary)
	}
	if got.typing != 0 && len(t.w.nodes) == 1 { // Why not of two: what one tells the other of it comes when it comes
		t.w.errorf("%s sees somebody type in %s for ever", c, room.ID())
	}
	t.checkState(c, room, got)
	t.checkReceipts(c, room, got)
}

func (t *truth) list(x any) []any {
	list, _ := x.([]any)
	return list
}

func (t *truth) checkState(c watcher, room *rooms.Room, got *knownRoom) {
	s, _ := c.(*syncWatcher)
	view, err := t.r.rooms.Current(ctx, room)
	t.must(err)
	view.Each(func(key, nid int64) bool {
		tuple, err := t.r.db.GetStateTuple(ctx, key)
		t.must(err)
		events, err := t.r.rooms.Events(ctx, []int64{nid})
		t.must(err)
		lazy := s != nil && s.lazy && tuple.Type == "m.room.member"
		if len(events) > 0 && !lazy && got.told[tuple] != events[0].ID {
			t.w.errorf("%s has %s as %v of %s, it is %s at %d: %s", c, got.told[tuple], tuple, room.ID(), events[0].ID, events[0].Row.Pos, events[0].JSON)
		}
		return true
	})
}

func (t *truth) checkReceipts(c watcher, room *rooms.Room, got *knownRoom) {
	rows, err := t.r.db.ListReceipts(ctx, room.NID(), 0, 1<<60)
	t.must(err)
	_, sliding := c.(*slideWatcher)
	for _, r := range rows {
		if r.Type != "m.read" && (r.Type != "m.read.private" || r.User != c.of().caller.UserNID) {
			continue
		}
		user, err := t.r.db.GetUserID(ctx, r.User)
		t.must(err)
		key := [3]string{string(user), r.Type, r.Thread}
		have := got.receipts[key]
		if have == r.EventID || have == "" && sliding {
			continue // who slides is told of old receipts only where he sees the event
		}
		if r.Thread != "" && got.receipts[[3]string{string(user), r.Type, ""}] == r.EventID {
			continue // the one without a thread stands in its place. MSC4102
		}
		if slices.ContainsFunc(rows, func(o storage.ReceiptRow) bool {
			return r.Thread != "" && o.Thread == "" && o.User == r.User && o.Type == r.Type && o.EventID == r.EventID
		}) {
			continue
		}
		t.w.errorf("%s has the receipt %v in %s at %s, it is at %s", c, key, room.ID(), have, r.EventID)
	}
}

func (t *truth) checkAccount(c watcher, got map[string]string, data []storage.AccountData, room int64) {
	for _, d := range data {
		if d.Room != room {
			continue
		}
		want := object{}
		t.must(json.Unmarshal(d.Content, &want))
		if is := fmt.Sprint(want); got[d.Type] != is && (len(want) > 0 || got[d.Type] != "") && d.Type != "m.push_rules" {
			t.w.errorf("%s has %s of room %d as %q, it is %s at %d", c, d.Type, room, got[d.Type], is, d.Pos)
		}
	}
}

// checkTimeline looks that no event is missing among those that came while the user was in the room, from the first that the client has on.
func (t *truth) checkTimeline(c watcher, m *storage.MembershipRow, room *rooms.Room, got *knownRoom) {
	entries, err := t.r.db.ListTimeline(ctx, room.NID(), 0, 1<<60, 100_000)
	t.must(err)
	var nids []int64
	for _, e := range slices.Backward(entries) {
		nids = append(nids, e.NID)
	}
	events, err := t.r.rooms.Events(ctx, nids)
	t.must(err)
	began, in := false, false
	for _, e := range events {
		was := in
		if e.Type == "m.room.member" && e.StateKeyEquals(string(c.of().id())) {
			in = e.Membership() == "join"
		}
		began = began || got.timeline[e.ID]
		if began && (was || in) && !got.timeline[e.ID] {
			t.w.errorf("%s, now %v, lacks %s at %d in %s: %s %s", c, m.Membership, e.ID, e.Row.Pos, room.ID(), e.Type, e.Content)
		}
	}
}

// checkLists looks that the keys of all with whom the user shares a room were asked for since they last changed.
func (t *truth) checkLists(c watcher) {
	for _, p := range t.w.people {
		shared, err := t.r.db.ShareRoom(ctx, c.of().caller.UserNID, p.caller.UserNID)
		t.must(err)
		if !shared && p.id() != c.of().id() {
			continue
		}
		pos, err := t.r.db.DeviceListPos(ctx, p.caller.UserNID)
		t.must(err)
		if got, asked := c.state().lists[p.id()]; got != pos || !asked {
			t.w.errorf("%s asked for the keys of %s at %d (%v), they are of %d", c, p.id(), got, asked, pos)
		}
	}
}

func (t *truth) checkMessages(c watcher) {
	for sender, n := range t.w.sent[c.of().caller.DeviceNID] {
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i+1))
		}
		if got := c.state().messages[sender]; !slices.Equal(got, want) {
			t.w.errorf("%s got from %s %v, not 1 to %d", c, sender, got, n)
		}
	}
}

func (t *truth) checkPresence(s *syncWatcher) {
	for _, p := range t.w.people {
		shared, err := t.r.db.ShareRoom(ctx, s.caller.UserNID, p.caller.UserNID)
		t.must(err)
		if !shared {
			continue
		}
		raw, err := t.r.sync.Presence(ctx, &s.caller, p.id())
		t.must(err)
		is := object{}
		t.must(json.Unmarshal(raw, &is))
		want := show(is)
		if got := s.know.presence[p.id()]; got != want && (is["presence"] != "offline" || got != "") {
			t.w.errorf("%s sees %s %s, he is %s", s, p.id(), got, want)
		}
	}
}

// show is what the content of m.presence says.
func show(content object) string {
	message, _ := content["status_msg"].(string)
	return fmt.Sprint(content["presence"], " ", message)
}
