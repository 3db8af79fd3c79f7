package metrics

import (
	"runtime"
	"runtime/metrics"
)

// AddRuntime registers what the Go runtime knows: goroutines, memory, collections, and the build.
func (r *Registry) AddRuntime(version string) {
	r.Gauge("rempart_build_info", "The running version.", func() float64 { return 1 }, "version", version, "go", runtime.Version())
	r.Gauge("go_goroutines", "Goroutines.", func() float64 { return float64(runtime.NumGoroutine()) })
	for _, m := range []struct{ name, help, key string }{
		{"go_memory_bytes", "Memory that the Go runtime holds.", "/memory/classes/total:bytes"},
		{"go_heap_objects_bytes", "Memory of live and not yet swept objects.", "/memory/classes/heap/objects:bytes"},
		{"go_gc_cycles", "Finished garbage collections.", "/gc/cycles/total:gc-cycles"},
	} {
		r.Gauge(m.name, m.help, func() float64 { return readRuntime(m.key) })
	}
}

func readRuntime(key string) float64 {
	sample := []metrics.Sample{{Name: key}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return float64(sample[0].Value.Uint64())
}
