package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/config"
	"rempart/core/ledger"
	"rempart/internal/egress"
	"rempart/internal/metrics"
	"rempart/policy"
)

const labPolicy = `version: 1
territory: {within: [france], lab: true}
outside: [{point: push.send, hosts: [push.lab]}]
partners: [{server: a.lab, allow: [rooms, profiles]}, {server: b.lab}]
`

// TestWhatIfReplaysTheRecord judges by another policy what was recorded: connections, answers, transactions and refusals, each as often as it was.
func TestWhatIfReplaysTheRecord(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("policy.yaml", labPolicy)
	file := write("rempart.yaml", "server: {name: us.lab, data_dir: "+dir+"}\npolicy: {file: policy.yaml}\n")
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := openGround(t.Context(), cfg, slog.New(slog.DiscardHandler), metrics.New())
	if err != nil {
		t.Fatal(err)
	}
	to := func(i egress.Intent, addr string) egress.Intent {
		i.Addr = netip.MustParseAddrPort(addr)
		return i
	}
	for range 3 {
		begin(t, g, ledger.Intent{Record: recordOf(to(egress.Intent{Kind: egress.Federation, Server: "a.lab", Host: "m.a.lab"}, "127.10.0.2:8448"), ledger.Connection)})
	}
	begin(t, g, ledger.Intent{Record: recordOf(to(egress.Intent{Kind: egress.Push, Host: "push.lab"}, "127.10.0.3:443"), ledger.Connection)})
	begin(t, g, ledger.Intent{Record: ledger.Record{Kind: ledger.Answer, For: "query profile", Dest: "a.lab", Addr: "127.10.0.2"}})
	begin(t, g, ledger.Intent{Record: ledger.Record{Kind: ledger.Transaction, For: "federation", Dest: "b.lab", Types: []string{"m.room.message"}}})
	refuse := func(f policy.Facts) {
		d := g.judge.policy.Decide(&f)
		if d.Allowed {
			t.Fatalf("%+v is admitted", f)
		}
		_ = g.judge.note(t.Context(), &f, &d, "id")
	}
	for range 4 {
		g.recorder.Refused(t.Context(), to(egress.Intent{Kind: egress.Federation, Server: "c.lab", Host: "c.lab"}, "127.10.0.9:8448"), egress.Refused("no"))
	}
	refuse(policy.Facts{Point: policy.FedInQuery, Server: "a.lab", Data: policy.DataDirectory})
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
	next := write("next.yaml", `version: 1
territory: {within: [france], lab: true}
partners: [{server: a.lab, allow: [rooms, directory]}, {server: c.lab}]
deny: {networks: [127.10.0.2/32]}
`)
	var out bytes.Buffer
	if code := run(t.Context(), []string{"policy", "what-if", "-config", file, "-policy", next, "-since", "2020-01-01"}, console{out: &out, err: &out}); code != 0 {
		t.Fatal(out.String())
	}
	for _, want := range []string{
		"4 records: fed.dial         c.lab  would be ADMITTED (now partner.unknown, then allowed)",
		"3 records: fed.dial         a.lab  would be REFUSED (now allowed, then territory.denied)",
		"1 records: push.send        push.lab  would be REFUSED",
		"1 records: fed.in.accept    a.lab  would be REFUSED (now allowed, then territory.denied)",
		"1 records: fed.in.query     a.lab profiles would be REFUSED (now allowed, then partner.data)",
		"1 records: fed.in.query     a.lab directory would be ADMITTED",
		"1 records: room.closure     b.lab rooms would be REFUSED (now allowed, then partner.unknown)",
		"11 records were judged again",
		"7 decisions admitted now would be refused, 5 refused now would be admitted.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

func begin(t *testing.T, g *ground, i ledger.Intent) {
	t.Helper()
	if _, err := g.ledger.Begin(context.WithoutCancel(t.Context()), i); err != nil {
		t.Fatal(err)
	}
}
