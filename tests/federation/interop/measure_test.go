package interop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
)

// Times of what a guest waits for, printed and not judged: REMPART_PROVE=1 go test -run Measure -v
func TestMeasure(t *testing.T) {
	if os.Getenv("REMPART_PROVE") != "1" {
		t.Skip("REMPART_PROVE is not 1")
	}
	w := newWorld(t)
	t.Run("join", func(t *testing.T) { measureJoin(t, w) })
	t.Run("return", func(t *testing.T) { measureReturn(t, w) })
	t.Run("partition", func(t *testing.T) { measurePartition(t, w) })
}

func measureJoin(t *testing.T, w *world) {
	const members = 1000
	alice, bob := w.theirs.newPerson(t, "alice"), w.ours.newPerson(t, "bob")
	room := alice.creates(t, w.versions[0], nil)
	for range members - 1 {
		mx.Must(t, w.theirs.newPerson(t, "member").Join(t.Context(), room))
	}
	mx.Must(t, alice.sync(t.Context()))
	mx.Must(t, bob.sync(t.Context()))
	began, cpu := time.Now(), ticks(t, w.ours.pid())
	bob.joins(t, room, w.theirs)
	joined := time.Since(began)
	talk(t, room, alice, bob)
	talked := time.Since(began)
	var all struct{ Joined map[string]any }
	bob.call(t, "GET", "/rooms/"+room+"/joined_members", nil, &all)
	known := time.Since(began)
	t.Logf("a guest joins a room of %d: joined %v, talked both ways %v, %d members known %v, CPU %.2f s", members, joined, talked,
		len(all.Joined), known, float64(ticks(t, w.ours.pid())-cpu)/100)
}

// measureReturn lets our side miss 50 messages, then theirs.
func measureReturn(t *testing.T, w *world) {
	for _, d := range [][2]*side{{w.ours, w.theirs}, {w.theirs, w.ours}} {
		room, alice, bob := together(t, w.versions[0], d[1], d[0], nil)
		talk(t, room, alice, bob)
		d[0].link.Cut()
		last, outage := "", time.After(3*time.Second) // who hears nothing for two seconds asks
		for i := range 50 {
			last = alice.says(t, room, fmt.Sprint("missed ", i))
		}
		<-outage
		began := time.Now()
		d[0].link.Mend()
		if d[0] == w.ours {
			bob.says(t, room, "I am back") // which wakes the other side
		}
		bob.hears(t, room, last)
		t.Logf("%s was away: the newest of 50 messages there after %v", d[0].kind, time.Since(began))
	}
}

func measurePartition(t *testing.T, w *world) {
	for range 3 {
		room, alice, bob := together(t, w.versions[0], w.ours, w.theirs, nil)
		alice.sets(t, room, "m.room.power_levels", "", powers(t, alice, room, bob, 99))
		bob.hears(t, room, "m.room.power_levels", bob.UserID)
		carol, dave := w.ours.newPerson(t, "carol"), w.theirs.newPerson(t, "dave")
		carol.joins(t, room, w.ours)
		dave.joins(t, room, w.ours)
		agree(t, room, alice, bob)
		w.partition()
		conflict(t, room, alice, bob, []*person{carol, dave})
		began := time.Now()
		w.heal()
		alice.says(t, room, "here again")
		bob.says(t, room, "so am I")
		agree(t, room, alice, bob)
		t.Logf("a partition of conflicting changes converged after %v", time.Since(began))
	}
}

// ticks is the processor time that a process took, in hundredths of a second.
func ticks(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	mx.Must(t, err)
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return user + system
}
