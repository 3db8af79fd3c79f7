package httpx

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// removeStale removes a socket file unless a process listens on it. Why /proc and not a dial: only internal/egress
// may dial. Without /proc the file is taken for stale.
func removeStale(path string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	table, err := os.Open("/proc/net/unix")
	if err != nil {
		return os.Remove(path)
	}
	defer func() { _ = table.Close() }()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		if name := lines.Text(); strings.HasSuffix(name, " "+absolute) || strings.HasSuffix(name, " "+path) {
			return fmt.Errorf("another process listens on %s", path)
		}
	}
	return os.Remove(path)
}
