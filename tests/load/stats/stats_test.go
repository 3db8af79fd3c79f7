package stats

import (
	"testing"
	"time"
)

func sampleOf(values ...int) *Sample {
	s := NewSample(len(values))
	for _, v := range values {
		s.Add(time.Duration(v))
	}
	return s
}

func TestPercentileIsNearestRank(t *testing.T) {
	hundred := NewSample(100)
	for i := 100; i >= 1; i-- {
		hundred.Add(time.Duration(i))
	}
	for _, c := range []struct {
		name string
		s    *Sample
		p    float64
		want time.Duration
	}{
		{"empty", NewSample(0), 50, 0},
		{"one value, low", sampleOf(7), 1, 7},
		{"one value, high", sampleOf(7), 99, 7},
		{"median of an odd count", sampleOf(5, 1, 3), 50, 3},
		{"median of an even count is the lower one", sampleOf(4, 1, 3, 2), 50, 2},
		{"p95 of a hundred", hundred, 95, 95},
		{"p99 of a hundred", hundred, 99, 99},
		{"p100 is the largest", hundred, 100, 100},
		{"p95 of ten is the largest", sampleOf(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 95, 10},
	} {
		if got := c.s.Percentile(c.p); got != c.want {
			t.Errorf("%s: Percentile(%v) = %d, want %d", c.name, c.p, got, c.want)
		}
	}
}

func TestAddAfterPercentileCounts(t *testing.T) {
	s := sampleOf(10, 20)
	s.Percentile(50)
	s.Add(1)
	if got := s.Percentile(1); got != 1 {
		t.Errorf("the smallest value is %d, want 1", got)
	}
}

func TestMergeAndMean(t *testing.T) {
	s := sampleOf(1, 2)
	s.Merge(sampleOf(3), sampleOf(), sampleOf(6))
	if s.Len() != 4 || s.Mean() != 3 {
		t.Errorf("len %d mean %d, want 4 and 3", s.Len(), s.Mean())
	}
	if NewSample(0).Mean() != 0 {
		t.Error("the mean of nothing is not 0")
	}
}

func TestPer(t *testing.T) {
	if Per(10, 4) != 2.5 || Per(10, 0) != 0 {
		t.Errorf("Per(10,4)=%v Per(10,0)=%v", Per(10, 4), Per(10, 0))
	}
	if Millis(1500*time.Microsecond) != 1.5 {
		t.Error("1500 µs is not 1.5 ms")
	}
}
