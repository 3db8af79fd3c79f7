package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rempart/config"
)

// Whoever watches the server finds each metric in docs/operate/monitoring.md, and none that there is not.
func TestEveryMetricIsDescribed(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "m")
	served(t, func(c *config.Config) {
		c.Listen.Metrics, c.Federation.Allow = "unix:"+socket, []string{"*"}
	})
	_, text := get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}, "http://x/metrics")
	page, err := os.ReadFile("../../docs/operate/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	described := describedMetrics(string(page))
	served := regexp.MustCompile(`(?m)^# HELP (\S+)`).FindAllStringSubmatch(text, -1)
	if len(served) < 20 {
		t.Fatalf("only %d metrics:\n%s", len(served), text)
	}
	for _, m := range served {
		if !described[m[1]] {
			t.Errorf("%s is not described", m[1])
		}
	}
}

// describedMetrics reads the table: the first name of a row is whole, others may be its last words in another form.
func describedMetrics(page string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.SplitSeq(page, "\n") {
		first := ""
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		for _, m := range regexp.MustCompile("`([a-z_]+)").FindAllStringSubmatch(cell, -1) {
			if first == "" {
				first = m[1]
			}
			names[m[1]] = true
			for i, letter := range first {
				if letter == '_' && strings.HasPrefix(m[1], "_") {
					names[first[:i]+m[1]] = true
				}
			}
		}
	}
	return names
}
