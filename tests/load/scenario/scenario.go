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
	Run   func(ctx context.Context, e *Env, s *Sheet) error
}

// All lists the scenarios in the order in which they run: the cheap ones first,
// those that fill the database last.
func All() []Scenario {
	return []Scenario{
		{"send8", "8 senders into a 100-member room, nobody syncing", sendWith(8, 0)},
		{"send64", "64 senders, nobody syncing", sendWith(64, 0)},
		{"lonely", "one sender, one event at a time", lonely},
		{"send8-sync", "8 senders, 100 people syncing", sendWith(8, 100)},
		{"send64-sync", "64 senders, 100 people syncing", sendWith(64, 100)},
		{"fanout", "one sender at 20 events/s to 100 waiting syncs", fanout},
		{"firstsync", "first and incremental sync of an account in 100 rooms", firstSync},
		{"paginate", "back-pagination through a room", paginate},
		{"keys", "key upload, query and claim for 200 users", keys},
		{"mixed", "100 users in 5 of 20 rooms each: sending, typing, reading, syncing", mixed},
		{"idle1000", "1,000 waiting syncs", idle(1000)},
		{"idle5000", "5,000 waiting syncs", idle(5000)},
		{"members", "cost per event by the size of the room", members},
		{"grow", "cost per event by the number of events in the database", grow},
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
	SyncRepeats int // first syncs; incremental ones are ten times as many
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
