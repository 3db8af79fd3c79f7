package territory_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"rempart/policy/territory"
)

// TestKnownOperatorsHaveASource keeps the list and its sources together: each network stands in known.tsv under its operator and class, with to whom it is
// registered and who controls that, and nothing else does.
func TestKnownOperatorsHaveASource(t *testing.T) {
	raw, err := os.ReadFile("known.tsv")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[uint32][]string{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		n, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil {
			continue // what is said about the list
		}
		if len(f) != 6 || f[3] == "" || f[4] == "" {
			t.Errorf("AS%d has no source: %q", n, f)
			continue
		}
		sources[uint32(n)] = f
	}
	known := territory.KnownOperators()
	if _, err := territory.MakeOperators(known); err != nil {
		t.Error(err)
	}
	for _, o := range known {
		for _, n := range o.ASNs {
			if f := sources[n]; f == nil || f[1] != o.Name || f[2] != o.Class {
				t.Errorf("AS%d of %s, %s: the source says %q", n, o.Name, o.Class, f)
			}
			delete(sources, n)
		}
		if o.Class == territory.Qualified {
			t.Errorf("%s: no network as a whole is qualified", o.Name)
		}
	}
	if len(sources) > 0 {
		t.Errorf("sources of nothing: %v", sources)
	}
}
