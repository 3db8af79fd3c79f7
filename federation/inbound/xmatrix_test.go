package inbound

import (
	"strings"
	"testing"
)

func TestXMatrix(t *testing.T) {
	want := xMatrix{"a.org", "b.org:8448", "ed25519:k1", "c2ln+/"}
	for _, h := range []string{
		`X-Matrix origin="a.org",destination="b.org:8448",key="ed25519:k1",sig="c2ln+/"`,
		`X-Matrix origin=a.org,destination=b.org:8448,key=ed25519:k1,sig=c2ln+/`,
		`x-matrix   sig="c2ln+/" ,	key="ed25519:k1"  , DESTINATION="b.org:8448",Origin="a.org"`,
		`X-Matrix origin="a.org",extra="x,y=\"z",destination="b.org:8448",key="ed25519:k1",sig="c2ln+/"`,
		`X-Matrix origin="a\.org",destination="b.org:8448",key="ed25519:\k1",signature="c2ln+/"`,
		`X-Matrix origin = "a.org", destination = "b.org:8448", key="ed25519:k1",sig="c2ln+/",`,
	} {
		if got, ok := parseXMatrix(h); !ok || got != want {
			t.Errorf("%s: %v %v", h, got, ok)
		}
	}
	for _, h := range []string{
		``, `X-Matrix`, `Bearer x`, `X-Matrix origin="a.org"`, `X-Matrix origin="a.org",key="k",sig="s`,
		`X-Matrix origin="a.org",origin="b.org",key="ed25519:k",sig="s"`, // which one would count?
		`X-Matrix origin="not a name",key="ed25519:k",sig="s"`, `X-Matrix origin="a.org" key="ed25519:k" sig="s"`,
		`X-Matrix origin=a"b,key="ed25519:k",sig="s"`, `X-Matrix =a,key="ed25519:k",sig="s"`, `X-Matrix origin="a.org",key="k",sig="s\`,
		`X-Matrix origin="a.org",key="ed25519:k",sig="s",x="` + strings.Repeat("x", 3000) + `"`,
	} {
		if got, ok := parseXMatrix(h); ok {
			t.Errorf("%s: taken as %v", h, got)
		}
	}
}

// Whatever a header says, what is read from it stands in it, and writing that anew is read the same way.
func FuzzXMatrix(f *testing.F) {
	f.Add(`X-Matrix origin="a.org",destination="b.org:8448",key="ed25519:k1",sig="c2ln"`)
	f.Add(`x-matrix origin=a.org , key=ed25519:k1,	sig="\c2\"ln",unknown=1`)
	f.Add(`X-Matrix ,,,=,"`)
	f.Fuzz(func(t *testing.T, header string) {
		x, ok := parseXMatrix(header)
		if !ok {
			return
		}
		quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
		again := `X-Matrix origin=` + quote(string(x.origin)) + `,key=` + quote(x.key) + `,sig=` + quote(x.sig)
		if x.destination != "" {
			again += `,destination=` + quote(string(x.destination))
		}
		if len(again) > maxHeader {
			return
		}
		if y, ok := parseXMatrix(again); !ok || y != x {
			t.Errorf("%q: %v, again %v", header, x, y)
		}
	})
}
