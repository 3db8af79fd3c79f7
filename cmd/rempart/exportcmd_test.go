package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportNFT writes the rules for a policy with a territory, and has nft, where it is installed, check them.
func TestExportNFT(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	export := func(text string) string {
		t.Helper()
		if err := os.WriteFile(file, []byte("version: 1\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if code := run(t.Context(), []string{"export", "nft", "-policy", file, "-user", "4242"}, console{out: &out, err: &out}); code != 0 {
			t.Fatal(out.String())
		}
		if nft, err := exec.LookPath("nft"); err == nil {
			cmd := exec.CommandContext(t.Context(), nft, "-c", "-f", "-")
			cmd.Stdin = strings.NewReader(out.String())
			if said, err := cmd.CombinedOutput(); err != nil && os.Geteuid() == 0 && !strings.Contains(string(said), "not permitted") {
				t.Errorf("nft does not take it: %s", said)
			}
		}
		return out.String()
	}
	placed := export("territory: {within: [france], lab: true, internal: [198.51.100.0/28]}\ndeny: {networks: [127.10.9.0/24, \"2001:db8::/32\"]}\n")
	for _, want := range []string{"meta skuid != 4242 accept", "127.10.9.0/24", "2001:db8::/32", "127.10.0.0-127.10.255.255", "198.51.100.0/28", "counter reject\n\t}"} {
		if !strings.Contains(placed, want) {
			t.Errorf("%q is missing in\n%s", want, placed)
		}
	}
	if strings.Contains(placed, "127.11.") || strings.Contains(placed, "127.12.") {
		t.Errorf("what is abroad or under foreign law is admitted:\n%s", placed)
	}
	if open := export("deny: {networks: [192.0.2.0/24]}\n"); strings.Contains(open, "admitted") || !strings.Contains(open, "192.0.2.0/24") {
		t.Errorf("without a territory:\n%s", open)
	}
	var out bytes.Buffer
	if run(t.Context(), []string{"export", "nft", "-policy", file, "-user", "no such user"}, console{out: &out, err: &out}) == 0 {
		t.Error("rules for nobody")
	}
}
