package main

import (
	"sync"
	"time"

	"rempart/core"
	"rempart/policy"
)

// maxRecent bounds how many decisions, and how many alarms, can be asked about from memory. Older ones are in the log and the ledger.
const maxRecent = 2000

// decided is a decision by which something was refused, or would have been.
type decided struct {
	id    string
	facts policy.Facts
	d     policy.Decision
}

// raised is an alarm about a room.
type raised struct {
	at    time.Time
	alarm core.RoomAlarm
}

// recent are the latest decisions and alarms, in rings. It may be used concurrently.
type recent struct {
	mu        sync.Mutex
	decisions []decided
	next      int
	alarms    []raised
	nextAlarm int
}

func (r *recent) add(id string, f *policy.Facts, d *policy.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := decided{id, *f, *d}
	if len(r.decisions) < maxRecent {
		r.decisions = append(r.decisions, one)
		return
	}
	r.decisions[r.next] = one
	r.next = (r.next + 1) % maxRecent
}

// find finds a decision by its id.
func (r *recent) find(id string) (decided, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.decisions {
		if one.id == id {
			return one, true
		}
	}
	return decided{}, false
}

// list gives decisions that keep wants, the newest first.
func (r *recent) list(most int, keep func(*decided) bool) []decided {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []decided{}
	for i := range r.decisions {
		one := &r.decisions[(r.next+len(r.decisions)-1-i)%len(r.decisions)]
		if len(out) == most {
			break
		}
		if keep(one) {
			out = append(out, *one)
		}
	}
	return out
}

func (r *recent) alarm(a core.RoomAlarm) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := raised{time.Now(), a}
	if len(r.alarms) < maxRecent {
		r.alarms = append(r.alarms, one)
		return
	}
	r.alarms[r.nextAlarm] = one
	r.nextAlarm = (r.nextAlarm + 1) % maxRecent
}

// raised lists alarms about rooms, the newest first.
func (r *recent) raised(most int) []raised {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []raised{}
	for i := range r.alarms {
		if len(out) == most {
			break
		}
		out = append(out, r.alarms[(r.nextAlarm+len(r.alarms)-1-i)%len(r.alarms)])
	}
	return out
}
