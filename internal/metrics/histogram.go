package metrics

import (
	"bufio"
	"math"
	"sort"
	"strconv"
	"sync/atomic"
	"time"
)

// Histogram counts values by size.
type Histogram struct {
	bounds []float64
	counts []atomic.Uint64 // one more than bounds
	sum    atomic.Uint64   // float64 bits
}

// Latencies are bounds in seconds that suit requests and commits: 0.1 ms to 10 s.
func Latencies() []float64 {
	return []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}

// Histograms registers a histogram with labels; bounds are upper bounds in rising order.
func (r *Registry) Histograms(name, help string, bounds []float64, labels ...string) func(values ...string) *Histogram {
	f := r.family(name, help, "histogram", labels)
	fresh := func() series {
		return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
	}
	return func(values ...string) *Histogram {
		h, ok := f.get(values, fresh).(*Histogram)
		if !ok {
			h, _ = fresh().(*Histogram)
		}
		return h
	}
}

// Histogram registers a histogram without labels.
func (r *Registry) Histogram(name, help string, bounds []float64) *Histogram {
	return r.Histograms(name, help, bounds)()
}

// Observe counts one value.
func (h *Histogram) Observe(v float64) {
	h.counts[sort.SearchFloat64s(h.bounds, v)].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Took counts a duration in seconds.
func (h *Histogram) Took(d time.Duration) { h.Observe(d.Seconds()) }

func (h *Histogram) write(w *bufio.Writer, name, labels string) {
	comma := ""
	if labels != "" {
		comma = ","
	}
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
		bound := math.Inf(1)
		if i < len(h.bounds) {
			bound = h.bounds[i]
		}
		line(w, name+"_bucket", labels+comma+`le="`+number(bound)+`"`, strconv.FormatUint(total, 10))
	}
	line(w, name+"_sum", labels, number(math.Float64frombits(h.sum.Load())))
	line(w, name+"_count", labels, strconv.FormatUint(total, 10))
}
