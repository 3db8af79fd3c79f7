package main

import (
	"os"
	"strconv"
	"time"
)

// timerSlack is how much later than asked the system may wake a thread that sleeps; 50 µs unless somebody says otherwise.
// docs/operate/rempart.service says the same by TimerSlackNSec=.
//
// Why: while anything runs, a thread of Go's own looks after the others (sysmon), sleeping 20 µs between its looks. That is some ninety
// short sleeps for each message that a hundred wait for, more than a twentieth of what it costs. So it looks ten times less often. What it does for us can wait half a millisecond:
// it takes the processor from who has run for 10 ms, and hands on the place of a thread that is in the system for long.
const timerSlack = 500 * time.Microsecond

// sleepCoarsely sets [timerSlack] for the threads of this process; those to come, and the media process, inherit it.
// Why nothing is said of a failure: only who has CAP_SYS_NICE may do so for a thread other than his own, everybody else needs the unit's help, and
// nothing but some of the saving is missed.
func sleepCoarsely() {
	threads, _ := os.ReadDir("/proc/self/task") // not there on other systems than Linux
	for _, t := range threads {
		_ = os.WriteFile("/proc/"+t.Name()+"/timerslack_ns", strconv.AppendInt(nil, timerSlack.Nanoseconds(), 10), 0)
	}
}
