package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What makes the process give memory back to the system.
const (
	memoryLook = 2 * time.Second
	// memoryIdle is how much must lie unused, memoryCalm how little must have been asked for since the last look.
	memoryIdle = 12 << 20
	memoryCalm = 4 << 20
	// memoryAgain is how long it is left alone when nothing that is not calm came between. Why: a little work all the time needs what it left, and
	// asking the system for it anew costs more than the work.
	memoryAgain = time.Minute
)

// sparing lets the heap grow to five times what lives, or 16 MiB, before it is collected, until the returned function is called.
// Why: what a start makes stays, so that each of its collections finds nothing and is an eighth of its work.
func sparing() (end func()) {
	usual := debug.SetGCPercent(400)
	return func() { debug.SetGCPercent(usual) }
}

// giveBack returns memory to the system after a rush.
// Why: when a storm of connections is over nothing asks for memory, so no collection runs, and the process would
// hold for minutes what it needed for seconds, on a machine that it shares. shrink is told first, for what the
// database's own memory keeps. With the first calm the start is over, and what it needed of the program's file goes too.
func giveBack(ctx context.Context, shrink func(context.Context) error) {
	tick := time.NewTicker(memoryLook)
	defer tick.Stop()
	sample := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	last, rush, given, started := uint64(0), true, time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		allocated := sample[0].Value.Uint64()
		idle := sample[1].Value.Uint64() + sample[2].Value.Uint64()
		dead := max(sample[3].Value.Uint64(), sample[4].Value.Uint64()) - sample[4].Value.Uint64()
		calm := allocated-last < memoryCalm
		rush = rush || !calm
		if calm && !started {
			started = true
			releaseStart()
		}
		if calm && idle+dead > memoryIdle && (rush || time.Since(given) >= memoryAgain) {
			rush, given = false, time.Now()
			_ = shrink(ctx) // what fails here is only not given back
			runtime.GC()    // Why twice with the next: the buffers of closed connections lie in pools, which give them up at the second collection
			debug.FreeOSMemory()
		}
		last = allocated
	}
}
