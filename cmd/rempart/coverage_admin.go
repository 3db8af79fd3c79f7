package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"rempart/internal/httpx"
)

// adminCall is one line of the list of what administrators' interfaces call.
type adminCall struct{ domain, key, text string }

// refusedCalls says why calls that interfaces make are not served, by the start of their paths.
func refusedCalls() map[string]string {
	return map[string]string{
		"/api/admin/":   "belongs to an authentication service of its own, which interfaces ask only where there is one",
		"/oauth2/token": "belongs to an authentication service of its own",
	}
}

// writeAdmin writes what interfaces of administrators need (priorities P0 and P1), and whether it is served.
func writeAdmin(w io.Writer, path string, routes []httpx.RouteInfo) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read calls of administrators: %w", err)
	}
	served := map[string]bool{}
	for _, r := range routes {
		served[routeKey(r.Method, r.Pattern)] = true
	}
	byDomain, total, done := map[string][]adminCall{}, 0, 0
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			return fmt.Errorf("%s, line %d: %d columns", path, i+1, len(f))
		}
		if i == 0 || f[4] != "P0" && f[4] != "P1" {
			continue
		}
		c := adminCall{f[1], routeKey(f[2], f[3]), f[2] + " " + f[3]}
		if strings.Contains(c.key, "/account_data/") { // one type of what any user may store
			c.key = "PUT /_matrix/client/v3/user/{}/account_data/{}"
		}
		if total++; served[c.key] {
			done++
		}
		byDomain[c.domain] = append(byDomain[c.domain], c)
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	say("\n## Administration\n\nWhat administrators' interfaces call (docs/spec/admin.tsv, P0 and P1): %d of %d are served.", done, total)
	for _, domain := range sortedKeys(byDomain) {
		say("\n### %s\n", domain)
		for _, c := range byDomain[domain] {
			say("- [%s] `%s`%s", when(served[c.key], "x", " "), c.text, refusal(c.text))
		}
	}
	return nil
}

// refusal is why a call is not served; "" when there is no such reason.
func refusal(call string) string {
	for start, why := range refusedCalls() {
		if strings.Contains(call, " "+start) {
			return " " + why
		}
	}
	return ""
}
