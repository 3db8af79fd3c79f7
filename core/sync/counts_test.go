package sync_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rempart/core/push"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
)

// sent is an event as the naive recount looks at it.
type sent struct {
	id     matrix.EventID
	by     *client
	thread matrix.EventID
	notify bool
	// whom it names
	names map[*client]bool
	muted map[*client]bool
}

// naive counts unread events one by one, from what was sent and read.
type naive struct {
	events []sent
	// read: by user, thread ("" all, "main", root): how many events, from the first, are read.
	read map[*client]map[string]int
}

func (n *naive) at(id matrix.EventID) int {
	for i, e := range n.events {
		if e.id == id {
			return i + 1
		}
	}
	return 0
}

func (n *naive) mark(c *client, thread string, id matrix.EventID) {
	if n.read[c] == nil {
		n.read[c] = map[string]int{}
	}
	n.read[c][thread] = max(n.read[c][thread], n.at(id))
}

func (n *naive) count(c *client) (main counts, threads map[matrix.EventID]counts) {
	threads = map[matrix.EventID]counts{}
	for i, e := range n.events {
		place := "main"
		if e.thread != "" {
			place = string(e.thread)
		}
		if e.by == c || i < n.read[c][""] || i < n.read[c][place] {
			continue
		}
		var one counts
		if (e.notify || e.names[c]) && !e.muted[c] {
			one.Notify = 1
		}
		if e.names[c] && !e.muted[c] {
			one.Highlight = 1
		}
		if e.thread == "" {
			main = counts{main.Notify + one.Notify, main.Highlight + one.Highlight}
		} else if t := threads[e.thread]; one != (counts{}) {
			threads[e.thread] = counts{t.Notify + one.Notify, t.Highlight + one.Highlight}
		}
	}
	return main, threads
}

// Derived counts equal a recount of every event, over random talks with threads, mentions, notices, own rules, receipts of
// all kinds and syncs in between.
func TestCountsEqualRecount(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for seed := range uint64(3) {
			talk(t, r, seed)
		}
	})
}

func talk(t *testing.T, r *rig, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var users []*client
	for i := range 4 {
		users = append(users, r.user(fmt.Sprintf("u%dx%d", seed, i)))
	}
	room := users[0].public()
	for _, c := range users[1:] {
		c.join(room)
	}
	start := users[0].say(room, "start")
	for _, c := range users { // nothing of the room's beginning counts in the recount
		r.receipt(c, room.ID(), "m.read", start, "")
	}
	muter := users[3]
	if err := r.push.Put(ctx, &muter.caller, push.NewRule{Kind: push.Sender, Rule: push.Rule{ID: string(users[0].id()), Actions: []json.RawMessage{}}}); err != nil {
		t.Fatal(err)
	}
	n := &naive{read: map[*client]map[string]int{}}
	var roots []matrix.EventID
	for range 120 {
		c := users[rnd.IntN(len(users))]
		switch rnd.IntN(5) {
		case 0:
			if len(n.events) == 0 {
				continue
			}
			e := n.events[rnd.IntN(len(n.events))]
			thread := [...]string{"", "main", string(e.thread)}[rnd.IntN(3)]
			typ := [...]string{"m.read", "m.read.private"}[rnd.IntN(2)]
			r.receipt(c, room.ID(), typ, e.id, thread)
			n.mark(c, thread, e.id)
		case 1:
			check(t, n, c, room.ID())
		default:
			e := speak(rnd, c, users, n.events, roots)
			id := c.send(room, "m.room.message", e.content)
			e.sent.id = id
			e.sent.muted = map[*client]bool{muter: c == users[0] && !e.sent.names[muter]}
			n.events = append(n.events, e.sent)
			place := "main"
			if e.sent.thread != "" {
				place = string(e.sent.thread)
			} else {
				roots = append(roots, id)
			}
			n.mark(c, place, id)
		}
	}
	for _, c := range users {
		check(t, n, c, room.ID())
	}
}

type utterance struct {
	sent
	content object
}

func speak(rnd *rand.Rand, c *client, users []*client, said []sent, roots []matrix.EventID) utterance {
	u := utterance{sent: sent{by: c, notify: true, names: map[*client]bool{}}, content: object{"msgtype": "m.text", "body": "words"}}
	switch {
	case len(roots) == 0:
	case rnd.IntN(3) == 0:
		u.thread = roots[rnd.IntN(len(roots))]
		u.content["m.relates_to"] = object{"rel_type": "m.thread", "event_id": u.thread}
	case rnd.IntN(6) == 0: // a relation of another kind stays where its target is
		of := said[rnd.IntN(len(said))]
		u.thread = of.thread
		u.content["m.relates_to"] = object{"rel_type": "m.reference", "event_id": of.id}
	}
	named := users[rnd.IntN(len(users))]
	switch rnd.IntN(5) {
	case 0:
		u.content["msgtype"] = "m.notice"
		u.notify = false
	case 1:
		u.content["m.mentions"] = object{"user_ids": []matrix.UserID{named.id()}}
		u.names[named] = true
	case 2:
		u.content["body"] = "Hello " + strings.ToUpper(named.id().Localpart()) + "!"
		u.names[named] = true
	}
	return u
}

func check(t *testing.T, n *naive, c *client, room matrix.RoomID) {
	t.Helper()
	main, threads := n.count(c)
	total := main
	for _, x := range threads {
		total = counts{total.Notify + x.Notify, total.Highlight + x.Highlight}
	}
	c.filter = ""
	full := c.ask(syncing.Request{FullState: true}).Rooms.Join[room]
	c.filter = `{"room":{"timeline":{"unread_thread_notifications":true}}}`
	byThread := c.ask(syncing.Request{FullState: true}).Rooms.Join[room]
	if *full.Unread != total || *byThread.Unread != main || fmt.Sprint(byThread.Threads) != fmt.Sprint(threads) && len(byThread.Threads)+len(threads) > 0 {
		t.Fatalf("%s after %d events: got %+v, %+v, %v, want %+v, %+v, %v", c.id(), len(n.events), *full.Unread, *byThread.Unread, byThread.Threads, total, main, threads)
	}
}

// An @room by somebody who may highlights for everybody; by somebody who may not it is a message.
func TestRoomMention(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		alice.next()
		bob.next()
		mention := object{"msgtype": "m.text", "body": "all", "m.mentions": object{"room": true}}
		alice.send(room, "m.room.message", mention)
		if got := bob.next().joined(room).Unread; *got != (counts{1, 1}) {
			t.Errorf("with the power: %+v", got)
		}
		bob.send(room, "m.room.message", mention)
		if got := alice.next().joined(room).Unread; *got != (counts{1, 0}) {
			t.Errorf("without: %+v", got)
		}
	})
}
