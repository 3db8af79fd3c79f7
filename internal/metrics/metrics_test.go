package metrics

import (
	"strconv"
	"strings"
	"testing"
)

func text(t *testing.T, r *Registry) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextFormat(t *testing.T) {
	r := New()
	r.Counter("a_total", "As.\nTwo lines.").Add(3)
	byRoute := r.Counters("b_total", "Bs.", "route", "code")
	byRoute(`/x"y\`, "200").Add(1)
	byRoute(`/x"y\`, "200").Add(1)
	r.Gauge("c", "Cs.", func() float64 { return 1.5 }, "kind", "k")
	h := r.Histogram("d_seconds", "Ds.", []float64{0.5, 1})
	for _, v := range []float64{0.25, 0.5, 0.75, 4} {
		h.Observe(v)
	}
	want := `# HELP a_total As.\nTwo lines.
# TYPE a_total counter
a_total 3
# HELP b_total Bs.
# TYPE b_total counter
b_total{route="/x\"y\\",code="200"} 2
# HELP c Cs.
# TYPE c gauge
c{kind="k"} 1.5
# HELP d_seconds Ds.
# TYPE d_seconds histogram
d_seconds_bucket{le="0.5"} 2
d_seconds_bucket{le="1"} 3
d_seconds_bucket{le="+Inf"} 4
d_seconds_sum 5.5
d_seconds_count 4
`
	if got := text(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	r := New()
	c := r.Counters("x_total", "Xs.", "who")
	for i := range maxSeries + 500 {
		c(strconv.Itoa(i)).Add(1)
	}
	got := text(t, r)
	if n := strings.Count(got, "\n"); n > maxSeries+3 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(got, `x_total{who="other"} 500`) {
		t.Error("the overflow is not counted as other")
	}
}

func TestRuntimeIsThere(t *testing.T) {
	r := New()
	r.AddRuntime("v1")
	if got := text(t, r); !strings.Contains(got, `rempart_build_info{version="v1",`) || strings.Contains(got, "go_memory_bytes 0\n") {
		t.Errorf("got\n%s", got)
	}
}
