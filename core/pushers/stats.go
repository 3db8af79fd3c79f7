package pushers

// Stats is what this node told gateways since the start, and how they stand now. The node that does not tell has no gateways.
type Stats struct {
	// Taken are notifications that gateways took, Failed requests that they did not, Rejected pushers that they did not want.
	Taken, Failed, Rejected uint64
	// Pushers are told by this node through so many Gateways, of which some fail now and some are refused by the policy.
	Pushers, Gateways, Failing, Refused int
	// Waiting are pushers that have not been told something yet.
	Waiting int
}

// Stats says what was told.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// count takes a request that ended into the numbers.
func (d *dispatch) count(r *result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case r.rejected:
		d.stats.Rejected++
	case r.err != nil:
		d.stats.Failed++
	case r.sent:
		d.stats.Taken++
	}
}

// survey counts who is told, and how the gateways stand.
func (d *dispatch) survey() {
	var now Stats
	for _, list := range d.users {
		now.Pushers += len(list)
	}
	for p := range d.unsaved {
		if p.waits() && !p.gone {
			now.Waiting++
		}
	}
	now.Gateways = len(d.gates)
	for _, g := range d.gates {
		switch {
		case g.shut:
			now.Refused++
		case g.since != 0:
			now.Failing++
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now.Taken, now.Failed, now.Rejected = d.stats.Taken, d.stats.Failed, d.stats.Rejected
	d.stats = now
}

// retired forgets the gateways: another node tells them now.
func (s *Service) retired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = Stats{Taken: s.stats.Taken, Failed: s.stats.Failed, Rejected: s.stats.Rejected}
}
