package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"rempart/config"
	"rempart/policy"
)

// What is published is looked for where it is: who follows it goes there.
func TestLintOfWhatIsPublished(t *testing.T) {
	g, err := policy.Compile([]byte("version: 1\nterritory: {within: [france], lab: true}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{}
	cfg.Server.PublicURL = "https://chat.ville.lab:8448/x"
	cfg.Accounts.IdentityServer = "https://id.abroad.lab"
	cfg.Support.Page = "https://help.gone.lab/page"
	cfg.Calls.Mode, cfg.Calls.ServerURL = config.CallsExternal, "wss://media.inside.lab"
	cfg.TURN.URIs = []string{"turn:turn.abroad.lab:3478?transport=udp", "turns:127.10.0.1"}
	find := func(_ context.Context, host string) ([]netip.Addr, error) {
		switch {
		case strings.HasSuffix(host, ".gone.lab"):
			return nil, errors.New("no such host")
		case strings.HasSuffix(host, ".abroad.lab"):
			return []netip.Addr{netip.MustParseAddr("127.10.0.2"), netip.MustParseAddr("127.12.0.1")}, nil
		case host == "media.inside.lab":
			return []netip.Addr{netip.MustParseAddr("10.1.2.3")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.10.0.1")}, nil
	}
	got := lintPublished(t.Context(), g, cfg, find)
	for i, want := range []string{"accounts.identity_server sends people to id.abroad.lab (127.12.0.1)", "support.page sends people to help.gone.lab, whose", "turn.uris[0] sends people to turn.abroad.lab (127.12.0.1)"} {
		if len(got) != 3 || !strings.HasPrefix(got[i], want) {
			t.Fatalf("%q; want %q at %d", got, want, i)
		}
	}
	free, err := policy.Compile([]byte("version: 1\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := lintPublished(t.Context(), free, cfg, find); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "gone.lab") }) || len(got) != 1 {
		t.Errorf("without a territory: %q", got)
	}
}
