package api

import (
	"os"
	"strings"
	"testing"

	"rempart/internal/testkit/declared"
)

// evidence is what docs/spec/tests.tsv says of each operation: the tests that ask for it, or "refused: why".
func evidence(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/spec/tests.tsv")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		key, what, _ := strings.Cut(line, "\t")
		if _, twice := all[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		all[key] = what
	}
	return all
}

// Each operation is either asked for by tests that exist, or refused for a reason that is written down.
func TestEveryOperationIsTestedOrRefused(t *testing.T) {
	said, exist := evidence(t), declared.Tests(t, "../..")
	for _, op := range operations(t) {
		key := op.api + " " + op.id
		what, ok := said[key]
		delete(said, key)
		why, refused := strings.CutPrefix(what, "refused: ")
		switch {
		case !ok || what == "":
			t.Errorf("%s: docs/spec/tests.tsv names no test and no reason", key)
		case refused && len(why) < 10:
			t.Errorf("%s is refused without a reason", key)
		case refused != unrecognised()[op.id]:
			t.Errorf("%s: the walk and docs/spec/tests.tsv disagree on whether it is refused", key)
		case !refused:
			for name := range strings.FieldsSeq(what) {
				if exist[name] == "" {
					t.Errorf("%s: there is no test %s", key, name)
				}
			}
		}
	}
	for key := range said {
		t.Errorf("docs/spec/tests.tsv names %s, which is no operation", key)
	}
}
