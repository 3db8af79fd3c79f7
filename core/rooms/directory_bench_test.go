package rooms_test

import (
	"fmt"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/testkit/cputime"
)

// BenchmarkDirectory reads the first page of a directory of 2,000 rooms, again and again.
func BenchmarkDirectory(b *testing.B) {
	r := newRig(b, sqliteURL(b), nil)
	for i := range 2000 {
		r.create(b, &rooms.CreateRequest{Preset: "public_chat", Visibility: "public", Name: fmt.Sprint("Hall ", i), Topic: "what is said in the hall"})
	}
	b.ResetTimer()
	start := cputime.Used()
	for range b.N {
		page, err := r.rooms.Directory(b.Context(), rooms.DirectoryRequest{Limit: 20})
		if err != nil || len(page.Chunk) != 20 || page.Total != 2000 {
			b.Fatalf("%+v, %v", page, err)
		}
	}
	b.ReportMetric((cputime.Used()-start).Seconds()*1000/float64(b.N), "cpu-ms/op")
}
