package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every thread that this process has may be woken later than asked, also those that Go made before main; the unit says the same for who may not set it.
func TestThreadsSleepCoarsely(t *testing.T) {
	want := strconv.FormatInt(timerSlack.Nanoseconds(), 10)
	unit, err := os.ReadFile("../../docs/operate/rempart.service")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(unit), "\nTimerSlackNSec="+want+"\n") {
		t.Errorf("the unit does not have TimerSlackNSec=%s", want)
	}
	before, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(before) < 2 {
		t.Skip("this system shows no threads")
	}
	if err := os.WriteFile("/proc/"+filepath.Base(before[1])+"/timerslack_ns", []byte("50000"), 0); err != nil {
		t.Skip("not allowed here: ", err)
	}
	sleepCoarsely()
	for _, thread := range before {
		got, err := os.ReadFile("/proc/" + filepath.Base(thread) + "/timerslack_ns")
		if os.IsNotExist(err) {
			continue // it has ended meanwhile
		}
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("thread %s sleeps %s ns more (%v), not %s", filepath.Base(thread), got, err, want)
		}
	}
}
