package territory_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"rempart/policy/territory"
)

// TestTheRealDatabases builds from the databases of this machine: REMPART_GEO names a folder with libloc, geoip, tor and iploc in it.
func TestTheRealDatabases(t *testing.T) {
	root := os.Getenv("REMPART_GEO")
	if root == "" {
		t.Skip("REMPART_GEO names no folder of databases")
	}
	var all []territory.Ranges
	for kind := range territory.Kinds() {
		r, err := territory.ReadSource(kind, filepath.Join(root, kind))
		if err != nil {
			t.Error(err)
			continue
		}
		t.Log(kind, r.Date, len(r.V4), len(r.V6))
		all = append(all, r)
	}
	d, err := territory.Merge(time.Now(), territory.Sets()["union-and-france"], all)
	if err != nil {
		t.Fatal(err)
	}
	if t.Log(d.Size()>>10, "KiB"); d.Size() > 16<<20 {
		t.Errorf("%d bytes", d.Size())
	}
	rules := rulesFor(d)
	for address, want := range map[string]string{
		"91.121.1.1": "territory.inside", "158.69.1.1": "territory.outside", "51.81.1.1": "territory.outside", "139.99.1.1": "territory.outside",
		"51.15.40.1": "territory.outside", "35.180.0.1": "operator.extraterritorial", "40.89.128.1": "operator.extraterritorial",
		"193.51.224.1": "territory.inside", "202.22.140.1": "territory.inside", "8.8.8.8": "territory.outside",
	} {
		v := rules.Judge(addr(address), time.Now())
		t.Log(address, v.Rule, v.Country, v.ASN, v.Operator, v.Place.Flags, v.Place.Countries)
		if v.Rule != want {
			t.Errorf("%s: %s, want %s", address, v.Rule, want)
		}
	}
}
