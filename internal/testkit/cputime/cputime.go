// Package cputime says what processor time a process has used, for benchmarks on machines that others use too.
package cputime

import (
	"syscall"
	"time"
)

// Used is the processor time of this process so far, its threads together, the system's part included. Children are not in it.
func Used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // Spec: getrusage(2): it fails for bad arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
