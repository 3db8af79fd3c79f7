// Package proc reads from /proc what processes have used: CPU time and resident
// memory of a process and of all processes below it. Figures are those of the
// kernel; the resolution of CPU time is one clock tick (10 ms).
package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of CPU times in /proc/PID/stat: USER_HZ is 100 on every
// Linux architecture that Go runs on.
const tick = 10 * time.Millisecond

// Stat is what one line of /proc/PID/stat says that matters here.
type Stat struct {
	PID, Parent int
	CPU         time.Duration // own user and system time, and that of ended children it has waited for
}

// Usage is what a process tree has used up to now.
type Usage struct {
	CPU time.Duration
	RSS int64 // bytes; memory shared within the tree is counted once
}

// ParseStat reads the text of a /proc/PID/stat file.
func ParseStat(text string) (Stat, error) {
	// "pid (name) state ppid …": the name may hold spaces and parentheses.
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Stat{}, errors.New("stat: no process name")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text[:open]))
	if err != nil {
		return Stat{}, fmt.Errorf("stat: pid: %w", err)
	}
	// fields[0] is field 3 of proc(5); utime is field 14, cstime field 17.
	fields := strings.Fields(text[end+1:])
	if len(fields) < 15 {
		return Stat{}, fmt.Errorf("stat: only %d fields after the name", len(fields))
	}
	s := Stat{PID: pid}
	if s.Parent, err = strconv.Atoi(fields[1]); err != nil {
		return Stat{}, fmt.Errorf("stat: parent: %w", err)
	}
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Stat{}, fmt.Errorf("stat: time: %w", err)
		}
		s.CPU += time.Duration(n) * tick
	}
	return s, nil
}

// Memory is the resident memory of one process by kind, in bytes.
type Memory struct{ Total, Anon, File, Shared int64 }

// ParseStatus reads the memory lines of a /proc/PID/status file. A process that
// has ended but was not waited for has none: zero, no error.
func ParseStatus(text string) (Memory, error) {
	var m Memory
	into := map[string]*int64{"VmRSS": &m.Total, "RssAnon": &m.Anon, "RssFile": &m.File, "RssShmem": &m.Shared}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		field := into[name]
		if !ok || field == nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("status: %s: %w", name, err)
		}
		*field = n << 10
	}
	return m, nil
}

// Tree sums up the process pid and all that descend from it.
func Tree(pid int) (Usage, error) {
	return treeIn("/proc", pid)
}

func treeIn(root string, pid int) (Usage, error) {
	stats, err := readStats(root)
	if err != nil {
		return Usage{}, err
	}
	if _, ok := stats[pid]; !ok {
		return Usage{}, fmt.Errorf("process %d: not found", pid)
	}
	var u Usage
	var file, shared int64
	for id, s := range stats {
		if !below(stats, id, pid) {
			continue
		}
		u.CPU += s.CPU
		text, err := os.ReadFile(filepath.Join(root, strconv.Itoa(id), "status"))
		if err != nil {
			continue // it ended between the two reads; its parent has its time
		}
		m, err := ParseStatus(string(text))
		if err != nil {
			return Usage{}, fmt.Errorf("process %d: %w", id, err)
		}
		u.RSS += m.Anon
		file, shared = max(file, m.File), max(shared, m.Shared)
	}
	u.RSS += file + shared
	return u, nil
}

// below tells whether id is pid or one of its descendants.
func below(stats map[int]Stat, id, pid int) bool {
	for range len(stats) {
		if id == pid {
			return true
		}
		s, ok := stats[id]
		if !ok {
			return false
		}
		id = s.Parent
	}
	return false
}

func readStats(root string) (map[int]Stat, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	stats := make(map[int]Stat, len(entries))
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, e.Name(), "stat"))
		if err != nil {
			continue // ended meanwhile
		}
		s, err := ParseStat(string(text))
		if err != nil {
			return nil, fmt.Errorf("process %s: %w", e.Name(), err)
		}
		stats[s.PID] = s
	}
	return stats, nil
}

// Self is the CPU time this process has used.
func Self() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
