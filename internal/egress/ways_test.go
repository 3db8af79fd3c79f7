package egress_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"rempart/internal/egress"
	"rempart/internal/testkit/cputime"
)

// What a wave of requests costs its sender by the way in which the answers are read, one way after the other in each round, so that all of them meet
// the machine as it is.
func BenchmarkWays(b *testing.B) {
	f := newFloor(b)
	odd := bytes.Replace(f.text, []byte("ABC"), []byte(oddPath), 1) // whose answers are left to net/http
	tide := func(pause time.Duration) func() { return func() { f.tide(b, f.volley(b, f.text), pause) } }
	ways := []struct {
		name string
		do   func()
		cost time.Duration
	}{
		{name: "waiting-odd", do: func() { f.wait(b, f.volley(b, odd)) }},
		{name: "waiting", do: func() { f.wait(b, f.volley(b, f.text)) }},
		{name: "tides-5ms", do: tide(5 * time.Millisecond)},
		{name: "tides-20ms", do: tide(20 * time.Millisecond)},
	}
	for i := range waveSize {
		if err := f.e.Ready(f.ctx, fmt.Sprint("a.org:", i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		for i := range ways {
			time.Sleep(250 * time.Millisecond) // what the others have for themselves
			began := cputime.Used()
			ways[i].do()
			ways[i].cost += cputime.Used() - began
		}
	}
	for _, way := range ways {
		b.ReportMetric(float64(way.cost.Microseconds())/float64(b.N)/waveSize, way.name+"-µs/request")
	}
}

func (f *floor) volley(b *testing.B, text []byte) []*egress.Posted {
	v := f.e.Volley(f.ctx, time.Minute)
	defer v.Done()
	list := make([]*egress.Posted, waveSize)
	for i := range list {
		if list[i] = v.Post(fmt.Sprint("a.org:", i), text); list[i] == nil {
			b.Fatal("not posted")
		}
	}
	return list
}

func (f *floor) wait(b *testing.B, list []*egress.Posted) {
	var wg sync.WaitGroup
	for _, p := range list {
		wg.Go(func() {
			if _, err := p.Answer(1 << 20); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

func (f *floor) tide(b *testing.B, list []*egress.Posted, pause time.Duration) {
	for ; len(list) > 0; pause *= 2 {
		time.Sleep(pause)
		var left []*egress.Posted
		for _, p := range list {
			_, there, err := p.Glance(1 << 20)
			if err != nil {
				b.Fatal(err)
			}
			if !there {
				left = append(left, p)
			}
		}
		list = left
	}
}
