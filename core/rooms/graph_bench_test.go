package rooms_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/internal/testkit/cputime"
)

// BenchmarkCompose sends messages into a room of 100 members from some senders at once.
func BenchmarkCompose(b *testing.B) {
	urls := map[string]string{"sqlite": sqliteURL(b)}
	if url := os.Getenv("REMPART_TEST_POSTGRES"); url != "" {
		urls["postgres"] = url
	}
	for engine, url := range urls {
		for _, senders := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%dsenders", engine, senders), func(b *testing.B) { benchCompose(b, url, senders, 100) })
		}
	}
}

// BenchmarkComposeMembers does the same with 8 senders in rooms of different sizes: the cost must not follow the size.
func BenchmarkComposeMembers(b *testing.B) {
	for _, members := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) { benchCompose(b, sqliteURL(b), 8, members) })
	}
}

func benchCompose(b *testing.B, url string, senders, members int) {
	r := newRig(b, url, func(o *rooms.Options) {
		rules, err := push.New(b.Context(), push.Options{DB: o.DB, Bus: o.Bus})
		if err != nil {
			b.Fatal(err)
		}
		o.Push = rules
	})
	room := r.publicRoom(b, "12")
	users := r.crowd(b, room, members)
	b.ReportAllocs()
	b.ResetTimer()
	start := cputime.Used()
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			u := users[s]
			for i := s; i < b.N; i += senders {
				d := text(u, "a message of an ordinary length, as people write it")
				_, err := r.rooms.Compose(b.Context(), room, func(*rooms.View) ([]rooms.Draft, error) { return []rooms.Draft{d}, nil })
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric((cputime.Used()-start).Seconds()*1000/float64(b.N), "cpu-ms/event")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
