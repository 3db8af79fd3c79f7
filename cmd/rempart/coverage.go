package main

import (
	"context"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"rempart/adminapi"
	"rempart/clientapi"
	"rempart/internal/httpx"
	"rempart/mediaapi"
)

// operation is one line of the list of the specification's operations.
type operation struct {
	api, method, path, id, module string
	// evidence names the tests that ask for it, or says why it is refused.
	evidence string
}

// key is what an operation and a route have in common: the method and the path without names of variables.
func (o operation) key() string { return routeKey(o.method, o.path) }

// variable is a path variable of a pattern.
const variable = `\{[^}]*\}`

func routeKey(method, path string) string {
	return method + " " + regexp.MustCompile(variable).ReplaceAllString(path, "{}")
}

// specCoverage prints a page that says which operations the routes of this binary serve.
func specCoverage(_ context.Context, args []string, c console) error {
	f := flags("docs spec-coverage")
	list := f.String("operations", "docs/spec/endpoints.tsv", "list of operations")
	if _, err := parse(f, args, 0); err != nil {
		return err
	}
	operations, err := readOperations(*list)
	if err != nil {
		return err
	}
	writeCoverage(c.out, operations, allRoutes())
	return writeAdmin(c.out, filepath.Join(filepath.Dir(*list), "admin.tsv"), allRoutes())
}

// allRoutes lists the routes of both routers. No service is behind them.
func allRoutes() []httpx.RouteInfo {
	a := &app{health: &health{}}
	client := a.router(httpx.Options{}, clientapi.Deps{}, clientRoutes(mediaapi.Deps{}, adminapi.Deps{}))
	federation := a.router(httpx.Options{}, clientapi.Deps{}, (&outside{}).routes)
	return append(client.Routes(), federation.Routes()...)
}

// readOperations reads the tab-separated list, whose first line names the columns: of the APIs those that a homeserver
// serves, not those by which it asks others.
func readOperations(path string) ([]operation, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read operations: %w", err)
	}
	tests, err := readEvidence(filepath.Join(filepath.Dir(path), "tests.tsv"))
	if err != nil {
		return nil, err
	}
	var all []operation
	for i, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		columns := strings.Split(line, "\t")
		if len(columns) < 5 {
			return nil, fmt.Errorf("%s, line %d: %d columns", path, i+1, len(columns))
		}
		if i > 0 && (columns[0] == "client-server" || columns[0] == "server-server") {
			all = append(all, operation{columns[0], columns[1], columns[2], columns[3], html.UnescapeString(columns[4]), tests[columns[0]+" "+columns[3]]})
		}
	}
	return all, nil
}

// readEvidence reads which tests ask for each operation; tests/api holds it to the truth.
func readEvidence(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read which tests ask for what: %w", err)
	}
	all := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		key, tests, _ := strings.Cut(line, "\t")
		all[key] = tests
	}
	return all, nil
}

// writeCoverage writes the page: a table per API, then every operation by module.
func writeCoverage(w io.Writer, operations []operation, routes []httpx.RouteInfo) {
	served := map[string]bool{}
	for _, r := range routes {
		served[routeKey(r.Method, r.Pattern)] = true
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	say("# Coverage of the specification (v1.19)\n")
	say("Made by `make docs` from the routes of the binary and docs/spec/tests.tsv: what is served, and which tests ask for it.\n")
	say("| API | served | of |\n|---|---|---|")
	total, done := map[string]int{}, map[string]int{}
	for _, o := range operations {
		total[o.api]++
		if served[o.key()] {
			done[o.api]++
		}
	}
	for _, api := range sortedKeys(total) {
		say("| %s | %d | %d |", api, done[api], total[api])
	}
	for _, api := range sortedKeys(total) {
		say("\n## %s", api)
		writeModules(say, api, operations, served)
	}
	writeBeyond(say, operations, routes)
}

// writeModules lists the operations of one API under the headings of the specification.
func writeModules(say func(string, ...any), api string, operations []operation, served map[string]bool) {
	byModule := map[string][]operation{}
	for _, o := range operations {
		if o.api == api {
			byModule[o.module] = append(byModule[o.module], o)
		}
	}
	for _, module := range sortedKeys(byModule) {
		say("\n### %s\n", module)
		list := byModule[module]
		sort.Slice(list, func(i, j int) bool { return list[i].path+list[i].method < list[j].path+list[j].method })
		for _, o := range list {
			say("- [%s] `%s %s` %s: %s", when(served[o.key()], "x", " "), o.method, o.path, o.id, o.evidence)
		}
	}
}

// writeBeyond lists routes that are no operation of the specification: unstable ones, health, administration.
func writeBeyond(say func(string, ...any), operations []operation, routes []httpx.RouteInfo) {
	known := map[string]bool{}
	for _, o := range operations {
		known[o.key()] = true
	}
	say("\n## Beyond the list\n")
	seen := map[string]bool{}
	for _, r := range routes {
		if key := r.Method + " " + r.Pattern; !r.Alias && !known[routeKey(r.Method, r.Pattern)] && !seen[key] {
			seen[key] = true
			say("- `%s` %s", key, r.Spec)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
