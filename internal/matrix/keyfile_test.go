package matrix

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSigningKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signing.key")
	made, err := LoadOrCreateSigningKey(path, "domain")
	if err != nil || len(made) != 1 || !strings.HasPrefix(made[0].KeyID, "ed25519:a_") || made[0].ServerName != "domain" {
		t.Fatalf("%+v, %v", made, err)
	}
	read, err := LoadOrCreateSigningKey(path, "domain")
	if err != nil || len(read) != 1 || read[0].KeyID != made[0].KeyID || !read[0].Private.Equal(made[0].Private) {
		t.Fatalf("read back %+v, %v", read, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := WriteSigningKeyFile(path, made[0]); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key file was replaced: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left behind: %v", left)
	}
}

// The form is the one of other servers. Spec: appendices/#signing-key
func TestSigningKeyFormat(t *testing.T) {
	line := "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0\n"
	keys, err := ParseSigningKeys("domain", []byte("# old\n\n"+line+"ed25519 a_b YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0=\n"))
	if err != nil || len(keys) != 2 || keys[0].KeyID != "ed25519:1" || keys[1].KeyID != "ed25519:a_b" {
		t.Fatalf("%+v, %v", keys, err)
	}
	if FormatSigningKey(keys[0]) != line || !keys[0].Private.Equal(testKey(t).Private) {
		t.Errorf("%s", FormatSigningKey(keys[0]))
	}
}

func TestSigningKeyErrors(t *testing.T) {
	seed := "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0"
	for _, bad := range []string{"", "# x", "ed25519 1", "rsa 1 " + seed, "ed25519 a:b " + seed, "ed25519 1 " + seed[1:], "ed25519 1 " + seed + " x"} {
		keys, err := ParseSigningKeys("domain", []byte(bad))
		if err == nil {
			t.Errorf("%q gives %+v", bad, keys)
		} else if strings.Contains(err.Error(), seed[1:]) {
			t.Errorf("the error shows the seed: %v", err)
		}
	}
	if _, err := ReadSigningKeyFile(filepath.Join(t.TempDir(), "none"), "domain"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
