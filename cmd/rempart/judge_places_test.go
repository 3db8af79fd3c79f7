package main

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"rempart/core"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/policy"
)

// A partner that is found abroad freezes rooms from then on, and none any more once the hourly look finds it at home again.
func TestAServerThatMovedAbroadFreezesRooms(t *testing.T) {
	g, err := policy.Compile([]byte("version: 1\nterritory: {within: [france], lab: true}\npartners: [{server: moves.lab}, {server: stays.lab}]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{policy: policy.NewJudge(g), log: slog.New(slog.DiscardHandler)}
	rooms := &roomPolicy{judge: j}
	found := func(server matrix.ServerName, at string) error {
		_, err := j.Examine(t.Context(), egress.Intent{Kind: egress.Federation, Server: server, Host: string(server), Addr: netip.MustParseAddrPort(at)})
		return err
	}
	refusedTo := func(server matrix.ServerName) string {
		if r := rooms.Judge(core.ActClosure, "home.lab", server); r != nil {
			return r.Rule
		}
		return ""
	}
	var asked []matrix.ServerName
	where := "127.12.0.2:8448"
	p := &policies{judge: j, probe: func(_ context.Context, server matrix.ServerName) {
		asked = append(asked, server)
		_ = found(server, where) // a refusal is what is noted
	}}
	_ = found("stays.lab", "127.10.0.2:8448")
	before := rooms.Generation()
	if found("moves.lab", "127.10.0.1:8448") != nil || refusedTo("moves.lab") != "" || rooms.Generation() != before {
		t.Fatal("a partner at home is not admitted, or rooms were judged anew for it")
	}
	if err := found("moves.lab", "127.12.0.1:8448"); err == nil || refusedTo("moves.lab") != "territory.outside" || rooms.Generation() == before {
		t.Fatalf("%v; in rooms: %q, generation %d", err, refusedTo("moves.lab"), rooms.Generation())
	}
	if p.lookAgain(t.Context()); refusedTo("moves.lab") == "" || refusedTo("stays.lab") != "" {
		t.Error("still abroad, and yet admitted; or at home, and yet refused")
	}
	where, before = "127.10.0.9:8448", rooms.Generation()
	if p.lookAgain(t.Context()); refusedTo("moves.lab") != "" || rooms.Generation() == before {
		t.Error("it came back, and rooms know nothing of it")
	}
	if p.lookAgain(t.Context()); !slices.Equal(asked, []matrix.ServerName{"moves.lab", "moves.lab"}) {
		t.Errorf("looked for %v", asked)
	}
}
