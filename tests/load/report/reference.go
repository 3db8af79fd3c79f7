package report

// reference is what a value is compared with: the goal on each engine, and what
// two existing servers reached on a machine like this (2 cores, PostgreSQL).
type reference struct {
	scenario, name    string
	sqlite, postgres  goal
	dendrite, synapse string
}

// goal is a bound; the zero goal is none.
type goal struct {
	atLeast, atMost float64
}

// String is the bound for people.
func (g goal) String() string {
	switch {
	case g.atLeast > 0:
		return ">=" + Number(g.atLeast)
	case g.atMost > 0:
		return "<=" + Number(g.atMost)
	}
	return ""
}

func (g goal) met(v float64) bool {
	return (g.atLeast == 0 || v >= g.atLeast) && (g.atMost == 0 || v <= g.atMost)
}

func (r reference) goalFor(engine string) goal {
	switch engine {
	case "sqlite":
		return r.sqlite
	case "postgres":
		return r.postgres
	}
	return goal{}
}

// miss is the mark behind a value that misses its goal.
func (r reference) miss(engine string, v float64) string {
	if r.goalFor(engine).met(v) {
		return ""
	}
	return "!"
}

func atLeast(v float64) goal { return goal{atLeast: v} }
func atMost(v float64) goal  { return goal{atMost: v} }

// lookUp finds the reference of a value; most have none.
func lookUp(scenario, name string) reference {
	for _, r := range references() {
		if r.scenario == scenario && r.name == name {
			return r
		}
	}
	return reference{}
}

func references() []reference {
	return []reference{
		{"send8", "rate", atLeast(2500), atLeast(1500), "64", "50"},
		{"send8", "server CPU per event", atMost(0.4), atMost(0.45), "20", "22"},
		{"send8", "database CPU per event", goal{}, atMost(0.3), "", ""},
		{"send64", "server CPU per event", atMost(0.25), goal{}, "", ""},
		{"lonely", "send p50", atMost(1.5), goal{}, "", ""},
		{"fanout", "delivery p95", atMost(15), atMost(15), "341", "1300"},
		{"fanout", "CPU per 1,000 deliveries", atMost(0.08), atMost(0.08), "4-6", "5"},
		{"idle1000", "server memory per sync", atMost(35), atMost(35), "", ""},
		{"idle5000", "server memory per sync", atMost(35), atMost(35), "", ""},
		{"firstsync", "first sync CPU", atMost(30), atMost(30), "", ""},
		{"firstsync", "incremental sync CPU", atMost(0.3), atMost(0.3), "", ""},
		{"mixed", "send p95", atMost(15), atMost(15), "", ""},
		{"mixed", "delivery p95", atMost(40), atMost(40), "", ""},
		{"members", "CPU at 1000 against 100 members", atMost(1.1), atMost(1.1), "", ""},
		{"members", "CPU at 10000 against 100 members", atMost(1.1), atMost(1.1), "", ""},
		{"grow", "CPU at 100000 events against the first", atMost(1.25), atMost(1.25), "", ""},
		{"grow", "CPU at 1000000 events against the first", atMost(1.6), atMost(1.6), "", ""},
		{"start", "first start", atMost(200), atMost(200), "", ""},
		{"start", "start with data", atMost(60), atMost(60), "", ""},
		{"end", "server memory", atMost(120), atMost(120), "", ""},
	}
}
