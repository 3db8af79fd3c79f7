package sender

import "sync/atomic"

// stats count what a sender does, for whoever watches.
type stats struct {
	transactions, failures     atomic.Uint64
	destinations, failing, due atomic.Int64
}

// Stats is what a sender has done since it began, and what it has to do.
type Stats struct {
	// Transactions are those that arrived, Failures requests that did not.
	Transactions, Failures uint64
	// Destinations are the servers that were told anything lately, Failing those that cannot be reached, Waiting those for which
	// something waits. They are none on a node that does not send.
	Destinations, Failing, Waiting int64
}

// Stats reads the counts; those of destinations are up to a second old.
func (s *Sender) Stats() Stats {
	return Stats{Transactions: s.stats.transactions.Load(), Failures: s.stats.failures.Load(), Destinations: s.stats.destinations.Load(),
		Failing: s.stats.failing.Load(), Waiting: s.stats.due.Load()}
}

// measure counts destinations.
func (p *dispatch) measure() {
	failing, due := int64(0), int64(0)
	for _, d := range p.dests {
		if d.Since != 0 {
			failing++
		}
		if !d.idle() {
			due++
		}
	}
	p.stats.destinations.Store(int64(len(p.dests)))
	p.stats.failing.Store(failing)
	p.stats.due.Store(due)
}
