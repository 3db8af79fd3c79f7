// Package scenario holds what the load program does to a homeserver: each
// scenario prepares its own rooms, measures within a bounded time and count, and
// returns named values. Nothing here depends on whose server it is.
package scenario

import (
	"context"
	"time"

	"rempart/tests/load/report"
)

// Scenario is one measurement that can be asked for by name.
type Scenario struct {
	Name  string
	About string
	Run   Act
	Early Act // before all scenarios of the run, or nil
}

// Act is something done to a target; what it finds goes to the sheet.
type Act func(ctx context.Context, e *Env, s *Sheet) error

// All lists the scenarios in the order in which they run: the cheap ones first,
// those that fill the database last.
func All() []Scenario {
	return []Scenario{
		{Name: "send8", About: "8 senders into a 100-member room, nobody syncing", Run: sendWith(8, 0)},
		{Name: "send64", About: "64 senders, nobody syncing", Run: sendWith(64, 0)},
		{Name: "lonely", About: "one sender, one event at a time", Run: lonely},
		{Name: "send8-sync", About: "8 senders, 100 people syncing", Run: sendWith(8, 100)},
		{Name: "send64-sync", About: "64 senders, 100 people syncing", Run: sendWith(64, 100)},
		{Name: "fanout", About: "one sender at 20 events/s to 100 waiting syncs", Run: fanout},
		{Name: "firstsync", About: "first and incremental sync of an account in 100 rooms", Run: firstSync},
		{Name: "paginate", About: "back-pagination through a room", Run: paginate},
		{Name: "keys", About: "key upload, query and claim for 200 users", Run: keys},
		{Name: "mixed", About: "100 users in 5 of 20 rooms each: sending, typing, reading, syncing", Run: mixed},
		{Name: "idle1000", About: "1,000 waiting syncs", Run: idle(1000)},
		{Name: "idle5000", About: "5,000 waiting syncs", Run: idle(5000)},
		{Name: "members", About: "cost per event by the size of the room", Run: members},
		{Name: "grow", About: "cost per event by the number of events in the database", Run: grow, Early: growFirst},
	}
}

// Sizes are the bounds of the scenarios; the flags of the load program.
type Sizes struct {
	Members     int           // people in the room of the send scenarios
	Events      int           // events per measurement, at most
	Time        time.Duration // length of a measurement, at most
	FanoutRate  float64       // events per second of the one sender
	FanoutTime  time.Duration
	SyncRooms   int // rooms of the account in firstsync
	SyncRepeats int // first syncs; later ones are a hundred times as many
	PageEvents  int // events in the room of paginate
	PageLimit   int
	KeyUsers    int
	KeyClaims   int           // keys that each user claims
	MixedRate   float64       // messages per user and second
	MixedTime   time.Duration // length of the mixed day
	MemberSizes []int         // rooms of the members scenario
	GrowTo      int           // events in the database at the end of grow
	GrowTime    time.Duration // for filling, at most
	RoomVersion string        // empty: the server's default
}

// Sheet collects what a scenario finds.
type Sheet struct {
	Values []report.Value
	Notes  []string
}

func (s *Sheet) add(name, unit string, v float64) {
	s.Values = append(s.Values, report.Value{Name: name, Unit: unit, Value: v})
}

func (s *Sheet) note(text string) { s.Notes = append(s.Notes, text) }
