package sender

import (
	"maps"
	"slices"
	"time"

	"rempart/core"
	"rempart/federation/client"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/storage"
)

// destination is one other server as one of ours speaks to it.
type destination struct {
	storage.Destination
	// queue holds the rows to be sent next, all behind queued at the time they entered; lost says that further ones are
	// in the database only, behind read.
	queue  []*storage.OutboxRow
	queued int64
	lost   bool
	read   int64
	// behind says that it failed since it had everything: what it missed is told by the newest of each room.
	behind bool
	// ephemeral are messages that wait, by key; order keeps their order.
	ephemeral map[string]core.EDU
	order     []string

	inFlight, marked bool
	retrying         bool // it had failed when its request was made
	spoke            bool // it spoke to us since its request was made
	delivery         *client.Delivery
	opened           <-chan error  // tells when there is a connection for the delivery; nil: nobody opens one
	looking, there   bool          // somebody looks for it; it was found to take connections
	watch            *egress.Watch // whether it takes connections again; nil: nobody looks, or somebody looks right now
	anew             time.Time     // when the watch is to be begun anew
	wave             *wave         // that it is on; nil: what is under way is in its own row
	body             []byte
	manifest         manifest // what is in body
}

func newDestination(d storage.Destination) *destination {
	return &destination{Destination: d, behind: d.Since != 0}
}

// push queues a row. A queue that is full forgets it: it will be read again.
func (d *destination) push(row *storage.OutboxRow) {
	d.queued = row.Pos
	if d.lost || len(d.queue) >= maxQueue {
		d.lost = true
		return
	}
	d.queue = append(d.queue, row)
	d.read = row.Pos
}

// tell queues an ephemeral message.
func (d *destination) tell(key string, edu core.EDU) bool {
	if d.ephemeral == nil {
		d.ephemeral = map[string]core.EDU{}
	}
	if _, there := d.ephemeral[key]; !there {
		if len(d.order) >= maxEphemeral || d.Since != 0 && (len(d.order) >= maxKept || !lasts(&edu)) {
			return false
		}
		d.order = append(d.order, key)
	}
	d.ephemeral[key] = edu
	return true
}

// takeTold takes up to n ephemeral messages.
func (d *destination) takeTold(n int) []core.EDU {
	n = min(n, len(d.order))
	out := make([]core.EDU, 0, n)
	for _, key := range d.order[:n] {
		out = append(out, d.ephemeral[key])
		delete(d.ephemeral, key)
	}
	d.order = slices.Delete(d.order, 0, n)
	return out
}

// lasts reports whether an ephemeral message is worth waiting for who cannot be reached now: how far somebody has read stays true, and
// nobody says it again.
func lasts(edu *core.EDU) bool { return edu.Type == "m.receipt" }

// forgetTold drops what is ephemeral, but for the first that last.
func (d *destination) forgetTold() {
	d.order = slices.DeleteFunc(d.order, func(key string) bool { edu := d.ephemeral[key]; return !lasts(&edu) })
	d.order = slices.Clone(d.order[:min(len(d.order), maxKept)])
	maps.DeleteFunc(d.ephemeral, func(key string, _ core.EDU) bool { return !slices.Contains(d.order, key) })
}

// idle reports whether nothing is to be sent.
func (d *destination) idle() bool {
	return d.Txn == "" && len(d.queue) == 0 && !d.lost && len(d.order) == 0
}

// concerns reports whether a row is for this destination.
func (d *destination) concerns(row *storage.OutboxRow) bool {
	return row.Origin == d.Origin && (row.Extra == d.Server || contains(row.Targets, d.Server))
}

func contains(s *storage.ServerSet, name matrix.ServerName) bool {
	_, found := slices.BinarySearch(s.Names(), name)
	return found
}
