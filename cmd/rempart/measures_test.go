package main

import (
	"bytes"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rempart/config"
	"rempart/internal/egress"
	"rempart/internal/metrics"
	"rempart/policy/territory"
)

// What leaves is counted by what it was for and where it went, and each decision is timed.
func TestWhatLeavesIsCounted(t *testing.T) {
	registry := metrics.New()
	cfg, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Federation.Allow = []string{"a.org"}
	g := &ground{log: slog.New(slog.DiscardHandler)}
	if err := g.openDoor(cfg, registry); err != nil {
		t.Fatal(err)
	}
	i := egress.Intent{Kind: egress.Store, Host: "db.org", Addr: netip.MustParseAddrPort("192.0.2.1:5432"), Verdict: egress.Verdict{Country: "FR", Class: "national"}}
	for range 2 {
		p, err := g.recorder.Begin(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		p.End(egress.Outcome{Sent: 21, Received: 1000})
	}
	if err := g.judge.Admit(t.Context(), egress.Intent{Kind: egress.Federation, Server: "b.org", Host: "b.org"}); err == nil {
		t.Fatal("not refused")
	}
	var text bytes.Buffer
	if err := registry.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`rempart_egress_bytes_total{channel="store",territory="FR",operator_class="national"} 42` + "\n", "rempart_decision_seconds_count 1\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the metrics lack %s:\n%s", want, &text)
		}
	}
}

// The age of data about addresses is told for each source, and of one that is gone nothing.
func TestAgeOfSources(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	sources := []territory.Source{{Name: "one", Date: now.AddDate(0, 0, -2)}, {Name: "two", Date: now}}
	if got := ageOf(sources, "one", now); got != 172800 {
		t.Errorf("%v", got)
	}
	if got := ageOf(sources, "gone", now); !math.IsNaN(got) {
		t.Errorf("%v", got)
	}
}
