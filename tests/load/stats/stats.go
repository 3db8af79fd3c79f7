// Package stats holds the arithmetic of a load run: samples of durations, their
// percentiles, and how they are shown. It knows neither servers nor scenarios.
package stats

import (
	"math"
	"slices"
	"time"
)

// Sample is a set of measured durations. It is not safe for concurrent use:
// each worker fills its own, and Merge joins them.
type Sample struct {
	values []time.Duration
	sorted bool
}

// NewSample returns an empty sample with room for n values.
func NewSample(n int) *Sample { return &Sample{values: make([]time.Duration, 0, n)} }

// Add records one duration.
func (s *Sample) Add(d time.Duration) {
	s.values = append(s.values, d)
	s.sorted = false
}

// Len is the number of durations recorded.
func (s *Sample) Len() int { return len(s.values) }

// Merge adds all values of the others.
func (s *Sample) Merge(others ...*Sample) {
	for _, o := range others {
		s.values = append(s.values, o.values...)
	}
	s.sorted = false
}

// Percentile is the nearest-rank percentile for p in (0, 100]: the smallest
// value with at least p % of the sample at or below it. An empty sample has 0.
func (s *Sample) Percentile(p float64) time.Duration {
	if len(s.values) == 0 {
		return 0
	}
	if !s.sorted {
		slices.Sort(s.values)
		s.sorted = true
	}
	rank := int(math.Ceil(p / 100 * float64(len(s.values))))
	return s.values[min(max(rank, 1), len(s.values))-1]
}

// Mean is the arithmetic mean, 0 for an empty sample.
func (s *Sample) Mean() time.Duration {
	if len(s.values) == 0 {
		return 0
	}
	var sum time.Duration
	for _, v := range s.values {
		sum += v
	}
	return sum / time.Duration(len(s.values))
}

// Millis turns a duration into milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Per divides, giving 0 where there is nothing to divide by.
func Per(total float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return total / float64(n)
}
