package calls_test

import (
	"testing"

	"rempart/core/calls"
)

// The wanted values were computed by another program: SHA-256 of the compact JSON array, unpadded base64. MSC4195
func TestNames(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"alias":  {calls.Alias("!room:example.org", calls.DefaultSlot), "TK4o8wNCXi5t5936bOvIzE/X3XFc7cgp3jGRDqK0j5E"},
		"html":   {calls.Identity("@alice:example.org", "DEV<&>", "m1"), "pXMhd66qFZlWSGPTSlKFIZIeWJ8KX1SBkorSULSp2J4"},
		"member": {calls.MemberIdentity("@alice:example.org", "m1"), "Zwd6z50kShDLKTsIjE/jvrHx4MHeqvijwBjsUeVh/p8"},
		"legacy": {calls.LegacyIdentity("@alice:example.org", "DEV"), "@alice:example.org:DEV"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}
