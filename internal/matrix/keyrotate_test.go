package matrix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRotateSigningKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signing.key")
	first, err := LoadOrCreateSigningKey(path, "a.org")
	if err != nil {
		t.Fatal(err)
	}
	second, err := RotateSigningKey(path, "a.org", 5)
	if err != nil {
		t.Fatal(err)
	}
	third, err := RotateSigningKey(path, "a.org", 9)
	if err != nil {
		t.Fatal(err)
	}
	now, err := ReadSigningKeyFile(path, "a.org")
	if err != nil || len(now) != 1 || now[0].KeyID != third.KeyID || !now[0].Private.Equal(third.Private) {
		t.Errorf("signs with %v, %v", now, err)
	}
	old, err := ReadOldKeys(path)
	if err != nil || len(old) != 2 {
		t.Fatalf("%v, %v", old, err)
	}
	for i, want := range []OldKey{{first[0].KeyID, first[0].Public(), 5}, {second.KeyID, second.Public(), 9}} {
		if old[i].KeyID != want.KeyID || !old[i].Public.Equal(want.Public) || old[i].Expired != want.Expired {
			t.Errorf("old key %d: %+v", i, old[i])
		}
	}
	file, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(file), strings.Fields(FormatSigningKey(second))[2]) {
		t.Errorf("the private half of an old key is kept: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := RotateSigningKey(path+".none", "a.org", 1); err == nil {
		t.Error("rotated a key that is not there")
	}
}
