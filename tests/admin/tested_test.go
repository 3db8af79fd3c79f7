package admin

import (
	"os"
	"strings"
	"testing"

	"rempart/internal/testkit/declared"
)

// lastWord is the last segment of a path that is the same in all requests, which a test that makes one has to spell.
func lastWord(path string) string {
	words := strings.Split(strings.Trim(path, "/"), "/")
	for i := len(words) - 1; i >= 0; i-- {
		if !strings.HasPrefix(words[i], "{") {
			return words[i]
		}
	}
	return ""
}

// Each call that interfaces need (priorities P0 and P1 of docs/spec/admin.tsv) names in docs/spec/admin-tests.tsv the tests that make it and look
// at what comes of it; that it is known at all, which TestEveryCallIsKnown asks, is not enough.
func TestEveryCallHasATest(t *testing.T) {
	text, err := os.ReadFile("../../docs/spec/admin-tests.tsv")
	if err != nil {
		t.Fatal(err)
	}
	said, exist := map[string]string{}, declared.Tests(t, "../..")
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		call, tests, _ := strings.Cut(line, "\t")
		if _, twice := said[call]; twice {
			t.Errorf("%s is there twice", call)
		}
		said[call] = tests
	}
	for _, r := range rows(t) {
		if r.api == "mas-admin" || r.priority != "P0" && r.priority != "P1" {
			continue
		}
		call := r.method + " " + r.path
		tests, ok := said[call]
		delete(said, call)
		if !ok || strings.TrimSpace(tests) == "" {
			t.Errorf("%s has no test", call)
		}
		for name := range strings.FieldsSeq(tests) {
			switch source, there := exist[name]; {
			case !there:
				t.Errorf("%s: there is no test %s", call, name)
			case name == "TestEveryCallIsKnown":
				t.Errorf("%s: that it is known is no test of it", call)
			case !strings.Contains(source, lastWord(r.path)):
				t.Errorf("%s: where %s stands nothing is said of %q", call, name, lastWord(r.path))
			}
		}
	}
	for call := range said {
		t.Errorf("docs/spec/admin-tests.tsv names %s, which interfaces do not need", call)
	}
}
