package sync_test

import (
	"fmt"
	"maps"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// known is what a client has gathered from all its answers.
type known struct {
	rooms    map[matrix.RoomID]*knownRoom
	account  map[string]string
	messages map[string][]string // to-device messages by sender
	lists    map[matrix.UserID]int64
	presence map[matrix.UserID]string
	keys     int
}

// knownRoom is what it knows of a room.
type knownRoom struct {
	membership      string
	told            map[matrix.StateTuple]matrix.EventID
	timeline        map[matrix.EventID]bool
	receipts        map[[3]string]matrix.EventID // by user, type and thread
	account         map[string]string
	unread          counts
	joined, invited int
	heroes          []matrix.UserID
	typing          int
	// blind says that a gap could not be filled, since the room was not to be read any more.
	blind bool
}

func newKnown() *known {
	return &known{rooms: map[matrix.RoomID]*knownRoom{}, account: map[string]string{}, messages: map[string][]string{},
		lists: map[matrix.UserID]int64{}, presence: map[matrix.UserID]string{}}
}

func (k *known) room(id matrix.RoomID) *knownRoom {
	if k.rooms[id] == nil {
		k.rooms[id] = &knownRoom{told: map[matrix.StateTuple]matrix.EventID{}, timeline: map[matrix.EventID]bool{},
			receipts: map[[3]string]matrix.EventID{}, account: map[string]string{}}
	}
	return k.rooms[id]
}

func (r *knownRoom) takeState(list []event) {
	for i := range list {
		if e := &list[i]; e.StateKey != nil {
			r.told[matrix.StateTuple{Type: e.Type, Key: *e.StateKey}] = e.ID
		}
	}
}

// takeTimeline adds events; what lies between them and what was there before is read by pages.
func (r *knownRoom) takeTimeline(rig *rig, id matrix.RoomID, user matrix.UserID, list []event, gap bool, prev string) {
	if gap && len(r.timeline) > 0 {
		r.blind = !r.fill(rig, id, user, prev) || r.blind
	}
	for i := range list {
		r.timeline[list[i].ID] = true
	}
}

// fill reads a gap backwards until what is known; false: it could not.
func (r *knownRoom) fill(rig *rig, id matrix.RoomID, user matrix.UserID, from string) bool {
	at, err := matrix.ParsePageToken(from)
	if err != nil {
		return false
	}
	room, err := rig.rooms.Room(ctx, id)
	if err != nil {
		return false
	}
	for next := &at; next != nil; {
		page, err := rig.rooms.Messages(ctx, room, user, rooms.MessagesRequest{From: next, Backward: true, Limit: 20})
		if err != nil {
			return false
		}
		met := false
		for _, e := range page.Events {
			met = met || r.timeline[e.ID]
			r.timeline[e.ID] = true
		}
		if next = page.End; met || len(page.Events) == 0 {
			break
		}
	}
	return true
}

func (r *knownRoom) takeReceipts(content object) {
	for id, types := range content {
		for typ, users := range types.(object) {
			for user, x := range users.(object) {
				thread, _ := x.(object)["thread_id"].(string)
				r.receipts[[3]string{user, typ, thread}] = matrix.EventID(id)
			}
		}
	}
}

func takeAccount(into map[string]string, list []event) {
	for _, e := range list {
		if len(e.Content) == 0 {
			delete(into, e.Type)
		} else if e.Type != "m.push_rules" {
			into[e.Type] = fmt.Sprint(e.Content)
		}
	}
}

func (k *known) takeMessages(list []event) {
	for _, e := range list {
		k.messages[string(e.Sender)] = append(k.messages[string(e.Sender)], e.Type)
	}
}

// takeLists asks for the keys of those whose lists changed, as a client does right after the answer.
func (k *known) takeLists(r *rig, changed, left []matrix.UserID) {
	for _, user := range left {
		delete(k.lists, user)
	}
	for _, user := range changed {
		nid, err := r.db.FindUserNID(ctx, user)
		if err == nil {
			k.lists[user], err = r.db.DeviceListPos(ctx, nid)
		}
		if err != nil {
			r.t.Error(err)
		}
	}
}

// members are all whom a client that begins sees in its rooms; it asks for the keys of all of them.
func (k *known) members(self matrix.UserID) []matrix.UserID {
	all := map[matrix.UserID]bool{self: true}
	for _, r := range k.rooms {
		for tuple := range r.told {
			if tuple.Type == "m.room.member" && r.membership == "join" {
				all[matrix.UserID(tuple.Key)] = true
			}
		}
	}
	out := make([]matrix.UserID, 0, len(all))
	for user := range maps.Keys(all) {
		out = append(out, user)
	}
	return out
}
