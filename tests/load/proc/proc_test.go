package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// statText makes a stat line with the given times in ticks.
func statText(pid int, name string, parent int, utime, stime, cutime, cstime int) string {
	n := strconv.Itoa
	return n(pid) + " (" + name + ") S " + n(parent) + " 1 1 0 -1 4194560 100 0 0 0 " +
		n(utime) + " " + n(stime) + " " + n(cutime) + " " + n(cstime) + " 20 0 4 0 12345 1000000 200\n"
}

func TestParseStat(t *testing.T) {
	for _, name := range []string{"rempart", "postgres: a b", "odd) (name", ""} {
		s, err := ParseStat(statText(42, name, 7, 1, 2, 30, 400))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if s.PID != 42 || s.Parent != 7 || s.CPU != 4330*time.Millisecond {
			t.Errorf("%q: %+v", name, s)
		}
	}
	for _, bad := range []string{"", "12", "x (a) S 1", "1 (a) S 1 2 3", "1 (a) S z 1 1 0 -1 4 1 0 0 0 1 1 1 1 20"} {
		if _, err := ParseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseStatus(t *testing.T) {
	m, err := ParseStatus("Name:\tx\nVmRSS:\t  600 kB\nRssAnon:\t 100 kB\nRssFile:\t 200 kB\nRssShmem:\t 300 kB\n")
	if err != nil || m != (Memory{600 << 10, 100 << 10, 200 << 10, 300 << 10}) {
		t.Errorf("%+v %v", m, err)
	}
	if m, err := ParseStatus("Name:\tzombie\n"); err != nil || m.Total != 0 {
		t.Errorf("zombie: %+v %v", m, err)
	}
	if _, err := ParseStatus("VmRSS:\t many kB\n"); err == nil {
		t.Error("a word was accepted as a size")
	}
}

func TestTreeSumsDescendantsAndCountsSharedMemoryOnce(t *testing.T) {
	root := t.TempDir()
	put := func(pid, parent, ticks int, anon, shared int) {
		dir := filepath.Join(root, strconv.Itoa(pid))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		status := "RssAnon:\t" + strconv.Itoa(anon) + " kB\nRssShmem:\t" + strconv.Itoa(shared) + " kB\n"
		for name, text := range map[string]string{"stat": statText(pid, "p", parent, ticks, 0, 0, 0), "status": status} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(1, 0, 1000, 1000, 1000) // not in the tree
	put(10, 1, 1, 10, 50)
	put(11, 10, 2, 20, 60)
	put(12, 11, 4, 40, 30)
	put(13, 1, 500, 500, 500) // a brother
	u, err := treeIn(root, 10)
	if err != nil || u.CPU != 70*time.Millisecond || u.RSS != 130<<10 {
		t.Errorf("%+v %v, want 70ms and %d", u, err, 130<<10)
	}
	if _, err := treeIn(root, 99); err == nil {
		t.Error("a process that does not exist has usage")
	}
}

func TestTreeOfThisProcess(t *testing.T) {
	u, err := Tree(os.Getpid())
	if err != nil || u.RSS == 0 {
		t.Errorf("%+v %v", u, err)
	}
}
