package scenario

import (
	"fmt"
	"testing"
	"time"

	"rempart/tests/load/stats"
)

func TestNamesAreUnique(t *testing.T) {
	names := map[string]bool{}
	for _, s := range All() {
		if names[s.Name] || s.About == "" || s.Run == nil {
			t.Errorf("scenario %q is there twice or incomplete", s.Name)
		}
		names[s.Name] = true
	}
}

func TestEarCountsEachMessageOnce(t *testing.T) {
	r := &ear{seen: make([]bool, 3), latency: stats.NewSample(0)}
	sent := time.Unix(100, 0)
	text := func(seq int) string { return fmt.Sprintf("~load:%d:%d:x ", sent.UnixNano(), seq) }
	fresh := r.note([]byte(text(0)+text(2)+text(0)+text(3)+text(-1)), sent.Add(time.Second))
	if fresh != 2 || r.twice != 1 || r.latency.Len() != 2 || r.latency.Percentile(100) != time.Second {
		t.Errorf("fresh %d, twice %d, latencies %d, most %v", fresh, r.twice, r.latency.Len(), r.latency.Percentile(100))
	}
	if fresh := r.note([]byte(text(1)+text(2)), sent); fresh != 1 || r.twice != 2 {
		t.Errorf("in the next answer: fresh %d, twice %d", fresh, r.twice)
	}
}

func TestRoomsOfTheMixedDayHaveEqualSize(t *testing.T) {
	size := map[int]int{}
	for p := range mixedPeople {
		mine := map[int]bool{}
		for _, r := range roomsOf(p) {
			mine[r] = true
			size[r]++
		}
		if len(mine) != mixedEach {
			t.Errorf("person %d is in %d rooms", p, len(mine))
		}
	}
	for r := range mixedRooms {
		if size[r] != mixedPeople*mixedEach/mixedRooms {
			t.Errorf("room %d has %d people", r, size[r])
		}
	}
}

func TestCheckpoints(t *testing.T) {
	for _, c := range []struct {
		now, end int
		want     string
	}{
		{0, 100000, "[1000 10000 100000]"}, {1000, 100000, "[10000 100000]"}, {50, 2500, "[1000 2500]"},
		{200000, 1000000, "[1000000]"}, {5, 5, "[]"}, {9, 5, "[]"},
	} {
		if got := fmt.Sprint(checkpoints(c.now, c.end)); got != c.want {
			t.Errorf("from %d to %d: %s, want %s", c.now, c.end, got, c.want)
		}
	}
}

func TestCostAgainst(t *testing.T) {
	base := cost{server: 100 * time.Millisecond, database: 100 * time.Millisecond}
	double := cost{server: 600 * time.Millisecond, database: 200 * time.Millisecond}
	if got := double.against(base, 200, 100); got != 2 {
		t.Errorf("%v, want 2", got)
	}
	if got := double.against(cost{}, 1, 1); got != 0 {
		t.Errorf("against nothing: %v", got)
	}
	if got := (cost{self: 3 * time.Second}).slower(cost{self: time.Second}, 200, 100); got != 1.5 {
		t.Errorf("the generator: %v", got)
	}
	if got := double.slower(cost{}, 1, 1); got != 0 {
		t.Errorf("the generator against nothing: %v", got)
	}
}
