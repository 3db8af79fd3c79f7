// Package metrics counts what the server does and writes it in the Prometheus text format.
//
// A [Registry] is made by cmd and handed to whoever measures; there is none that is global. Names follow Prometheus:
// "rempart_<part>_<what>_<unit>", counters end in "_total". Label values must come from a small fixed set (a route's
// pattern, never a URL), since each makes a series.
package metrics

import (
	"bufio"
	"io"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Registry holds metrics. It may be used by any number of goroutines.
type Registry struct {
	mu       sync.Mutex
	families map[string]*family
}

// New makes an empty registry.
func New() *Registry { return &Registry{families: make(map[string]*family)} }

// family is one metric name with its series.
type family struct {
	name, help, kind string
	labels           []string
	mu               sync.RWMutex
	series           map[string]series // by label values, joined
}

// series is one line, or the lines of one histogram.
type series interface {
	write(w *bufio.Writer, name, labels string)
}

// maxSeries bounds the series of a family; what comes later is counted in one series whose labels are "other".
const maxSeries = 2000

// family finds or makes a family. A second registration of a name returns the first.
func (r *Registry) family(name, help, kind string, labels []string) *family {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.families[name]
	if f == nil {
		f = &family{name: name, help: help, kind: kind, labels: labels, series: make(map[string]series)}
		r.families[name] = f
	}
	return f
}

// get finds the series of these label values, or makes it.
func (f *family) get(values []string, fresh func() series) series {
	key := strings.Join(values, "\x00")
	f.mu.RLock()
	s := f.series[key]
	f.mu.RUnlock()
	if s != nil {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.series) >= maxSeries {
		other := make([]string, len(values))
		for i := range other {
			other[i] = "other"
		}
		key = strings.Join(other, "\x00")
	}
	if s = f.series[key]; s == nil {
		s = fresh()
		f.series[key] = s
	}
	return s
}

// Counter counts up. The zero value counts too, unseen.
type Counter struct{ n atomic.Uint64 }

// Add counts n more.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value is the count so far.
func (c *Counter) Value() uint64 { return c.n.Load() }

func (c *Counter) write(w *bufio.Writer, name, labels string) {
	line(w, name, labels, strconv.FormatUint(c.Value(), 10))
}

// Counter registers a counter without labels.
func (r *Registry) Counter(name, help string) *Counter { return r.Counters(name, help)() }

// Counters registers a counter with labels; the function finds the series of their values, in the same order. Keep
// what it returns where speed matters.
func (r *Registry) Counters(name, help string, labels ...string) func(values ...string) *Counter {
	f := r.family(name, help, "counter", labels)
	return func(values ...string) *Counter {
		c, ok := f.get(values, func() series { return new(Counter) }).(*Counter)
		if !ok {
			return new(Counter)
		}
		return c
	}
}

// gauge asks for its value when it is written.
type gauge func() float64

func (g gauge) write(w *bufio.Writer, name, labels string) { line(w, name, labels, number(g())) }

// Gauge registers a value that is asked for at each reading. pairs are label names and values in turn.
func (r *Registry) Gauge(name, help string, value func() float64, pairs ...string) {
	var labels, values []string
	for i := 0; i+1 < len(pairs); i += 2 {
		labels, values = append(labels, pairs[i]), append(values, pairs[i+1])
	}
	r.family(name, help, "gauge", labels).get(values, func() series { return gauge(value) })
}

// ServeHTTP writes all metrics, as a Prometheus server asks for them.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = r.Write(w) // Why no error: the reader is gone
}

// Write writes all metrics in the Prometheus text format, sorted by name.
func (r *Registry) Write(w io.Writer) error {
	r.mu.Lock()
	families := make([]*family, 0, len(r.families))
	for _, f := range r.families {
		families = append(families, f)
	}
	r.mu.Unlock()
	sort.Slice(families, func(i, j int) bool { return families[i].name < families[j].name })
	out := bufio.NewWriter(w)
	for _, f := range families {
		f.write(out)
	}
	return out.Flush()
}

func (f *family) write(w *bufio.Writer) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, _ = w.WriteString("# HELP " + f.name + " " + helpEscape.Replace(f.help) + "\n# TYPE " + f.name + " " + f.kind + "\n")
	keys := make([]string, 0, len(f.series))
	for key := range f.series {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		f.series[key].write(w, f.name, f.labelText(key))
	}
}

// labelText is `a="1",b="2"` for joined values.
func (f *family) labelText(key string) string {
	if len(f.labels) == 0 {
		return ""
	}
	values := strings.Split(key, "\x00")
	parts := make([]string, 0, len(f.labels))
	for i, name := range f.labels {
		if i < len(values) {
			parts = append(parts, name+`="`+labelEscape.Replace(values[i])+`"`)
		}
	}
	return strings.Join(parts, ",")
}

func line(w *bufio.Writer, name, labels, value string) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	_, _ = w.WriteString(name + labels + " " + value + "\n") // a bufio.Writer keeps its error for Flush
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// What the text format escapes.
var (
	labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	helpEscape  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)
