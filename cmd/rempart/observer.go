package main

import (
	"strconv"
	"sync"
	"time"

	"rempart/internal/metrics"
)

// observer counts answers and times them by route.
type observer struct {
	answers func(values ...string) *metrics.Counter
	times   func(values ...string) *metrics.Histogram

	mu    sync.RWMutex
	known map[answerKind]answerSeries
}

// answerKind is what answers are counted by.
type answerKind struct {
	method, pattern string
	status          int
}

type answerSeries struct {
	count *metrics.Counter
	times *metrics.Histogram
}

func newObserver(registry *metrics.Registry) *observer {
	return &observer{
		answers: registry.Counters("rempart_http_answers_total", "Answers by route and status.", "method", "route", "status"),
		times:   registry.Histograms("rempart_http_seconds", "Time to answer by route.", metrics.Latencies(), "route"),
		known:   make(map[answerKind]answerSeries),
	}
}

// observe notes one answer; pattern is "" when no route matched.
func (o *observer) observe(method, pattern string, status int, took time.Duration) {
	if pattern == "" {
		method = "" // Why: a stranger may send any word as a method
	}
	series := o.series(answerKind{method, pattern, status})
	series.count.Add(1)
	series.times.Took(took)
}

func (o *observer) series(kind answerKind) answerSeries {
	o.mu.RLock()
	s, ok := o.known[kind]
	o.mu.RUnlock()
	if ok {
		return s
	}
	s = answerSeries{o.answers(kind.method, kind.pattern, strconv.Itoa(kind.status)), o.times(kind.pattern)}
	o.mu.Lock()
	o.known[kind] = s
	o.mu.Unlock()
	return s
}
