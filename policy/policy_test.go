package policy_test

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/policy"
)

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// files reads from a table.
func files(table map[string]string) policy.Reader {
	return func(path string) ([]byte, error) {
		if s, ok := table[path]; ok {
			return []byte(s), nil
		}
		return nil, os.ErrNotExist
	}
}

func compile(t testing.TB, text string, table map[string]string) *policy.Generation {
	t.Helper()
	g, err := policy.Compile([]byte(text), files(table))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const lab = `
version: 1
territory: {within: [france], lab: true}
deny: {servers: [denied.fr], networks: ["127.10.9.0/24"]}
partners:
  - {server: a.fr}
  - {server: denied.fr}
  - {server: over.fr, until: 2026-11-20}
  - {server: last.fr, until: 2026-11-22}
  - {server: pinned.fr, endpoints: [Matrix.pinned.fr], networks: ["127.10.1.0/24"], keys: {"ed25519:a": "AAAA"}}
  - {server: rich.fr, allow: [rooms, presence]}
outside:
  - {point: push.send, hosts: [push.fr]}
  - {point: notify.mail, hosts: [configured]}
tenants: [{server: commune.fr, file: commune.yaml}]
`

func dialled(server, host, address string) policy.Facts {
	f := policy.Facts{Point: policy.FedDial, Server: matrix.ServerName(server), Host: host, Now: now}
	if address != "" {
		f.Addr = netip.MustParseAddrPort(address)
	}
	return f
}

func TestDecisions(t *testing.T) {
	g := compile(t, lab, map[string]string{"commune.yaml": "version: 1\npartners: [{server: a.fr, until: 2026-11-01}]\n"})
	with := func(f policy.Facts, change func(*policy.Facts)) policy.Facts {
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		f    policy.Facts
		rule string
	}{
		"partner by name":            {dialled("a.fr", "", ""), policy.RuleAllowed},
		"another case":               {dialled("A.fr", "", ""), policy.RuleAllowed},
		"inside":                     {dialled("a.fr", "a.fr", "127.10.0.1:8448"), policy.RuleAllowed},
		"overseas":                   {dialled("a.fr", "a.fr", "127.13.0.1:8448"), policy.RuleAllowed},
		"mapped":                     {dialled("a.fr", "a.fr", "[::ffff:127.12.0.1]:8448"), "territory.outside"},
		"under foreign law":          {dialled("a.fr", "a.fr", "127.11.0.1:8448"), "operator.extraterritorial"},
		"abroad":                     {dialled("a.fr", "a.fr", "127.12.0.1:8448"), "territory.outside"},
		"nobody knows":               {dialled("a.fr", "a.fr", "127.14.0.1:8448"), "territory.unknown"},
		"no lab address":             {dialled("a.fr", "a.fr", "127.0.0.1:8448"), "territory.unknown"},
		"private":                    {dialled("a.fr", "a.fr", "10.0.0.1:8448"), "territory.special"},
		"denied network":             {dialled("a.fr", "a.fr", "127.10.9.1:8448"), "territory.denied"},
		"stranger":                   {dialled("b.fr", "", ""), policy.RulePartner},
		"denied though a partner":    {dialled("denied.fr", "", ""), policy.RuleDenyServer},
		"delegated to a denied name": {dialled("a.fr", "denied.fr", ""), policy.RuleDenyServer},
		"agreement over":             {dialled("over.fr", "", ""), policy.RulePartnerOver},
		"last day":                   {dialled("last.fr", "", ""), policy.RuleAllowed},
		"agreed host":                {dialled("pinned.fr", "matrix.pinned.fr", "127.10.1.1:443"), policy.RuleAllowed},
		"another host":               {dialled("pinned.fr", "evil.fr", ""), policy.RulePartnerPlace},
		"another network":            {dialled("pinned.fr", "matrix.pinned.fr", "127.10.2.1:443"), policy.RulePartnerNetwork},
		"where it is may be asked":   {dialled("pinned.fr", "Pinned.fr", ""), policy.RuleAllowed},
		"but it is not there":        {dialled("pinned.fr", "pinned.fr", "127.10.1.1:443"), policy.RulePartnerPlace},
		"usual data":                 {with(dialled("a.fr", "", ""), func(f *policy.Facts) { f.Point, f.Data = policy.FedOutEDU, policy.DataReceipts }), policy.RuleAllowed},
		"presence not granted":       {with(dialled("a.fr", "", ""), func(f *policy.Facts) { f.Point, f.Data = policy.FedOutEDU, policy.DataPresence }), policy.RulePartnerData},
		"presence granted":           {with(dialled("rich.fr", "", ""), func(f *policy.Facts) { f.Point, f.Data = policy.FedOutEDU, policy.DataPresence }), policy.RuleAllowed},
		"push gateway":               {policy.Facts{Point: policy.PushSend, Host: "push.fr", Addr: netip.MustParseAddrPort("127.10.0.1:443"), Now: now}, policy.RuleAllowed},
		"push gateway moved abroad":  {policy.Facts{Point: policy.PushSend, Host: "push.fr", Addr: netip.MustParseAddrPort("127.12.0.1:443"), Now: now}, "territory.outside"},
		"another gateway":            {policy.Facts{Point: policy.PushSend, Host: "push.com", Now: now}, policy.RuleHost},
		"a partner is no gateway":    {policy.Facts{Point: policy.PushSend, Host: "a.fr", Now: now}, policy.RuleHost},
		"mail server":                {policy.Facts{Point: policy.NotifyMail, Host: "mail", Configured: true, Now: now}, policy.RuleAllowed},
		"another mail server":        {policy.Facts{Point: policy.NotifyMail, Host: "mail", Now: now}, policy.RuleHost},
		"point without a rule":       {policy.Facts{Point: policy.StoreOpen, Host: "db", Configured: true, Now: now}, policy.RuleHost},
		"point that nobody knows":    {policy.Facts{Point: "new.point", Host: "a.fr", Server: "a.fr", Now: now}, policy.RulePoint},
		"tenant is stricter":         {with(dialled("a.fr", "", ""), func(f *policy.Facts) { f.Tenant = "commune.fr" }), policy.RulePartnerOver},
		"tenant cannot loosen":       {with(dialled("b.fr", "", ""), func(f *policy.Facts) { f.Tenant = "commune.fr" }), policy.RulePartner},
		"another tenant":             {with(dialled("a.fr", "", ""), func(f *policy.Facts) { f.Tenant = "ville.fr" }), policy.RuleAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			d := g.Decide(&c.f)
			if d.Rule != c.rule || d.Allowed != (c.rule == policy.RuleAllowed) {
				t.Fatalf("got %s, %v; want %s", d.Rule, d.Allowed, c.rule)
			}
			if !d.Allowed {
				if en, fr := d.Words(&c.f); strings.Contains(en+fr, "{who}") || strings.HasPrefix(en, "This server's policy refuses") {
					t.Errorf("no words: %s %s", en, fr)
				}
			}
		})
	}
	if !g.PinnedKey("a.fr", "ed25519:x", "BBBB") || g.PinnedKey("Pinned.fr", "ed25519:a", "BBBB") || !g.PinnedKey("pinned.fr", "ed25519:a", "AAAA") {
		t.Error("pinned keys")
	}
}

func TestTheCommentedFileIsClosed(t *testing.T) {
	g := compile(t, policy.Commented(), nil)
	for _, f := range policy.Questions(now, []string{"matrix.example.fr"}, g) {
		if d := g.Decide(&f); d.Allowed {
			t.Errorf("admits %s of %s%s", f.Point, f.Server, f.Host)
		}
	}
	g = compile(t, strings.ReplaceAll(policy.Commented(), "\n#  ", "\n  "), nil) // as whoever takes the marks away
	f := dialled("matrix.example.fr", "matrix.example.fr", "")
	if d := g.Decide(&f); !d.Allowed {
		t.Errorf("the documented block does not open: %s", d.Rule)
	}
	if g.PinnedKey("matrix.example.fr", "ed25519:b", "x") {
		t.Error("the documented block pins no key")
	}
}

func TestMistakesAreAllTold(t *testing.T) {
	_, err := policy.Compile([]byte(`
version: 2
mode: sometimes
observe: [nowhere]
territory: {within: [france, Utopia], quorum: 1, anycast: perhaps, internal: [x], pins: [{prefix: 1.2.3.0/24, country: FR}]}
operators: {deny_classes: [bad], list: [{name: A, class: B, asns: [1]}]}
deny: {networks: ["1.2.3"]}
partners: [{server: "a b"}, {server: a.fr, allow: [gossip], until: soon}, {server: A.fr}]
outside: [{point: fed.dial, hosts: [a]}]
`), files(nil))
	var mistakes policy.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) < 15 {
		t.Fatalf("%d mistakes: %v", len(mistakes), err)
	}
	for _, text := range []string{"", "version: 1\nfederaton: {}\n", "version: 1\nversion: 1\n", "version: 1\n---\nversion: 1\n", "[]", "version: 1\nterritory: {lab: true}\n",
		"version: 1\nterritory: {within: [FR], data: x}\n", "version: 1\npartners: [{server: a.fr, attestation: gone}]\n", "version: 1\ntenants: [{server: a.fr, file: gone}]\n"} {
		if _, err := policy.Compile([]byte(text), files(nil)); err == nil {
			t.Errorf("taken: %q", text)
		}
	}
}

func TestObserving(t *testing.T) {
	g := compile(t, "version: 1\nobserve: [push.send]\n", nil)
	push, fed := policy.Facts{Point: policy.PushSend, Host: "a", Now: now}, dialled("a.fr", "", "")
	if d := g.Decide(&push); !d.Allowed || !d.Observed || d.Rule != policy.RuleHost {
		t.Errorf("%+v", d)
	}
	if d := g.Decide(&fed); d.Allowed {
		t.Errorf("%+v", d)
	}
}

func TestSimple(t *testing.T) {
	g, err := policy.CompileSimple(policy.Simple{Federation: []string{"*"}, FederationPrivate: true, Push: []string{"push.fr"}})
	if err != nil {
		t.Fatal(err)
	}
	for address, rule := range map[string]string{"127.0.0.1:8448": policy.RuleAllowed, "9.9.9.9:8448": policy.RuleAllowed, "169.254.1.1:80": policy.RulePrivate} {
		f := dialled("a.fr", "a.fr", address)
		if d := g.Decide(&f); d.Rule != rule {
			t.Errorf("%s: %s", address, d.Rule)
		}
	}
	f := policy.Facts{Point: policy.PushSend, Host: "push.fr", Addr: netip.MustParseAddrPort("10.0.0.1:443"), Now: now}
	if d := g.Decide(&f); d.Rule != policy.RulePrivate {
		t.Error(d.Rule)
	}
	closed, err := policy.CompileSimple(policy.Simple{})
	if err != nil || closed.Open() || !g.Open() {
		t.Errorf("open %v", err)
	}
}

func TestEveryPointIsKnownAndDocumented(t *testing.T) {
	seen := map[policy.Point]bool{}
	for _, p := range policy.Points() {
		if seen[p.Point] || p.EN == "" || p.FR == "" {
			t.Errorf("%s: twice, or without words", p.Point)
		}
		seen[p.Point] = true
		f := policy.Facts{Point: p.Point, Server: "a.fr", Host: "a.fr", Now: now}
		if !p.Partner {
			f.Server = ""
			if !strings.Contains(policy.Commented(), string(p.Point)) {
				t.Errorf("%s is not in the commented file", p.Point)
			}
		}
		g := compile(t, "version: 1\n", nil)
		if d := g.Decide(&f); d.Rule == policy.RulePoint || d.Allowed {
			t.Errorf("%s: %s, %v", p.Point, d.Rule, d.Allowed)
		}
	}
}

// BenchmarkDecideRoom is a decision about a server in a room, for a tenant with an overlay.
func BenchmarkDecideRoom(b *testing.B) {
	j := policy.NewJudge(compile(b, lab, map[string]string{"commune.yaml": "version: 1\n"}))
	f := dialled("a.fr", "", "127.10.0.1:8448")
	f.Point, f.Data, f.Tenant = policy.RoomClosure, policy.DataRooms, "commune.fr"
	b.ReportAllocs()
	for b.Loop() {
		if d := j.Decide(&f); !d.Allowed {
			b.Fatal(d.Rule)
		}
	}
}

// TestEachDecisionIsOfOneGeneration replaces the policy a hundred times under way: in each generation the name and the address
// are both admitted or both refused, so a decision of two would be seen.
func TestEachDecisionIsOfOneGeneration(t *testing.T) {
	open := compile(t, "version: 1\nterritory: {within: [FR], lab: true}\npartners: [{server: a.fr}]\n", nil)
	shut := compile(t, "version: 1\nterritory: {within: [DE], lab: true}\npartners: [{server: b.fr}]\n", nil)
	j := policy.NewJudge(open)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			f := dialled("a.fr", "a.fr", "127.10.0.1:8448")
			for last := uint64(0); !stop.Load(); {
				d := j.Decide(&f)
				even := d.Generation%2 == 0
				if d.Allowed == even || d.Generation < last || even && (d.Rule != policy.RulePartner || d.Policy != shut.Digest) {
					t.Errorf("generation %d: %s", d.Generation, d.Rule)
					return
				}
				last = d.Generation
			}
		})
	}
	for i := range 100 {
		j.Replace([]*policy.Generation{shut, open}[i%2])
	}
	stop.Store(true)
	wg.Wait()
}

func TestWhatIfAndLint(t *testing.T) {
	old := compile(t, "version: 1\npartners: [{server: a.fr}]\n", nil)
	next := compile(t, "version: 1\npartners: [{server: b.fr}]\n", nil)
	loosened, tightened := 0, 0
	for _, flip := range policy.WhatIf(old, next, policy.Questions(now, nil, old, next)) {
		if flip.Loosens {
			loosened++
		} else {
			tightened++
		}
	}
	if loosened == 0 || loosened != tightened {
		t.Errorf("%d, %d", loosened, tightened)
	}
	lines := strings.Join(old.Lint(now), "\n")
	for _, want := range []string{"anywhere in the world", "a.fr: no signing key", "has no end"} {
		if !strings.Contains(lines, want) {
			t.Errorf("lint lacks %q: %s", want, lines)
		}
	}
	f := dialled("b.fr", "", "")
	if said := strings.Join(old.Explain(f), "\n"); !strings.Contains(said, "refused by rule partner.unknown") {
		t.Error(said)
	}
}

func BenchmarkDecide(b *testing.B) {
	j := policy.NewJudge(compile(b, lab, map[string]string{"commune.yaml": "version: 1\n"}))
	f := dialled("a.fr", "a.fr", "127.10.0.1:8448")
	b.ReportAllocs()
	for b.Loop() {
		if d := j.Decide(&f); !d.Allowed {
			b.Fatal(d.Rule)
		}
	}
}

// TestOverlaysChangeWithTheFloor changes the policy a hundred times while decisions are made: each names the generation that it comes
// from, with that one's digest and rule, floor and overlay together.
func TestOverlaysChangeWithTheFloor(t *testing.T) {
	texts := [2]string{
		"version: 1\npartners: [{server: a.fr}]\ntenants: [{server: commune.fr, file: deny.yaml}]\n",
		"version: 1\ndeny: {servers: [a.fr]}\npartners: [{server: a.fr}, {server: b.fr}]\ntenants: [{server: commune.fr, file: open.yaml}]\n",
	}
	table := map[string]string{"deny.yaml": "version: 1\npartners: [{server: a.fr, until: 2026-11-01}]\n", "open.yaml": "version: 1\n"}
	var generations [2]*policy.Generation
	for i, text := range texts {
		generations[i] = compile(t, text, table)
	}
	type asked struct {
		server, tenant matrix.ServerName
	}
	want := map[asked][2]string{
		{"a.fr", ""}: {policy.RuleAllowed, policy.RuleDenyServer}, {"b.fr", ""}: {policy.RulePartner, policy.RuleAllowed},
		{"a.fr", "commune.fr"}: {policy.RulePartnerOver, policy.RuleDenyServer}, {"b.fr", "commune.fr"}: {policy.RulePartner, policy.RuleAllowed},
	}
	judge := policy.NewJudge(generations[0])
	var made, wrong atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				for q, rules := range want {
					d := judge.Decide(&policy.Facts{Point: policy.RoomJoin, Server: q.server, Tenant: q.tenant, Data: policy.DataRooms, Now: now})
					which := (d.Generation - 1) % 2
					if d.Rule != rules[which] || d.Policy != generations[which].Digest {
						wrong.Add(1)
					}
					made.Add(1)
				}
			}
		})
	}
	for i := range 100 {
		for before := made.Load(); made.Load() < before+1000; {
			runtime.Gosched()
		}
		judge.Replace(generations[(i+1)%2])
	}
	stop.Store(true)
	wg.Wait()
	if wrong.Load() != 0 {
		t.Errorf("%d of %d decisions mix generations", wrong.Load(), made.Load())
	}
}

func TestNamingAGateway(t *testing.T) {
	ask := func(g *policy.Generation, point policy.Point, host string) string {
		d := g.Decide(&policy.Facts{Point: point, Host: host, Now: now})
		return d.Rule
	}
	g := compile(t, "version: 1\noutside: [{point: push.send, hosts: [push.fr]}]\n", nil)
	if ask(g, policy.PushRegister, "push.fr") != policy.RuleAllowed || ask(g, policy.PushRegister, "push.com") != policy.RuleHost {
		t.Error("naming a gateway is not as sending to it")
	}
	g = compile(t, "version: 1\noutside: [{point: push.send, hosts: [push.fr, old.fr]}, {point: push.register, hosts: [push.fr]}]\n", nil)
	if ask(g, policy.PushRegister, "old.fr") != policy.RuleHost || ask(g, policy.PushSend, "old.fr") != policy.RuleAllowed {
		t.Error("a gateway that nobody may name any more")
	}
}

// Whether a server can be refused at all decides how carefully rooms are entered.
func TestCloses(t *testing.T) {
	for text, want := range map[string]bool{
		`partners: [{server: "*"}]`: false, `partners: [{server: "*"}, {server: a.fr, allow: [rooms]}]`: false,
		``: true, `partners: [{server: a.fr}]`: true, `partners: [{server: "*", until: 2030-01-01}]`: true, `partners: [{server: "*", allow: [media]}]`: true,
		"partners: [{server: \"*\"}]\ndeny: {servers: [a.fr]}":                  true,
		"partners: [{server: \"*\"}]\nterritory: {within: [france], lab: true}": true,
		`partners: [{server: "*"}, {server: a.fr, until: 2030-01-01}]`:          true,
	} {
		if got := compile(t, "version: 1\n"+text+"\n", nil).Closes(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
