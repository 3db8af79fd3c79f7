package search_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/core/search"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/cputime"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/words"
	"rempart/storage"
	"rempart/storage/storagetest"
)

const alice = matrix.UserID("@alice:home.example")

type keys struct{ key matrix.SigningKey }

func (k keys) SigningKey(matrix.ServerName) (matrix.SigningKey, bool) { return k.key, true }

// library is a database full of messages: of the rooms alice is in every fifth, some large and many small.
type library struct {
	db     *storage.DB
	rooms  *rooms.Service
	search *search.Service
	caller matrix.Caller
	dice   *rand.Rand
	words  *rand.Zipf
	pick   *rand.Zipf
	shelf  []shelf
}

// shelf is a room with one of its messages, after which the others are made.
type shelf struct {
	room  *rooms.Room
	model *rooms.Stored
}

func newLibrary(b *testing.B, url string) *library {
	b.Helper()
	events := bus.New[storage.Batch]()
	l := &library{db: storagetest.Open(b, storage.Options{URL: url, Publish: events.Publish}), dice: rand.New(rand.NewSource(7))}
	const shelves = 400
	l.words, l.pick = rand.NewZipf(l.dice, 1.1, 3, 40_000), rand.NewZipf(l.dice, 1.3, 5, shelves-1)
	key := matrix.SigningKey{ServerName: "home.example", KeyID: "ed25519:a", Private: ed25519.NewKeyFromSeed(make([]byte, 32))}
	var err error
	if l.rooms, err = rooms.New(b.Context(), rooms.Options{DB: l.db, Bus: events, Keys: keys{key}}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.rooms.Close)
	l.search = search.New(l.db, l.rooms)
	l.caller = l.person(b, alice)
	kept, err := l.db.ListMembershipsOf(b.Context(), l.caller.UserNID)
	if err != nil {
		b.Fatal(err)
	}
	if len(kept) == 0 {
		l.furnish(b, shelves)
	}
	return l
}

// furnish makes the rooms.
func (l *library) furnish(b *testing.B, shelves int) {
	b.Helper()
	bob := l.person(b, "@bob:home.example")
	for i := range shelves {
		owner := bob
		if i%5 == 0 {
			owner = l.caller
		}
		room, err := l.rooms.Create(b.Context(), owner, &rooms.CreateRequest{})
		if err != nil {
			b.Fatal(err)
		}
		out, err := l.rooms.Compose(b.Context(), room, func(*rooms.View) ([]rooms.Draft, error) {
			return []rooms.Draft{{Sender: owner.User, Type: "m.room.message", Content: json.RawMessage(`{"body":"MODEL","msgtype":"m.text"}`)}}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
		l.shelf = append(l.shelf, shelf{room, out[0]})
	}
}

func (l *library) person(b *testing.B, id matrix.UserID) matrix.Caller {
	b.Helper()
	nid, err := l.db.UserNID(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return matrix.Caller{User: id, UserNID: nid, Server: id.Server()}
}

func (l *library) text(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "mot" + strconv.FormatUint(l.words.Uint64(), 36)
	}
	return out
}

// fill writes n messages, many with each commit.
func (l *library) fill(b *testing.B, n int) {
	b.Helper()
	first, err := l.db.NewIDs(b.Context(), storage.EventNIDs, int64(n))
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < n; {
		c := &storage.Change{}
		for range min(4000, n-i) {
			l.message(c, first+int64(i))
			i++
		}
		if err := l.db.Commit(context.Background(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func (l *library) message(c *storage.Change, nid int64) {
	s := l.shelf[l.pick.Uint64()]
	body := l.text(4 + l.dice.Intn(16))
	id := matrix.EventID(fmt.Sprintf("$%043d", nid))
	row := s.model.Row
	at := storage.At{Live: c.Live(storage.Live{Kind: storage.KindEvent, Room: s.room.NID()}) + 1}
	row.At, row.NID, row.IDHash = at, nid, matrix.HashID(id)
	line := strings.Join(body, " ")
	raw := bytes.Replace(s.model.JSON, []byte("MODEL"), []byte(line), 1)
	c.Add(&row, &storage.EventJSONRow{NID: nid, ID: id, JSON: raw},
		&storage.SearchRow{At: at, Event: nid, Room: row.Room, Sender: row.Sender,
			TS: row.TS, Branch: row.Branch, Seq: row.Seq, Words: words.Of(line)})
}

// BenchmarkSearch searches among 1,000,000 messages (REMPART_BENCH_MESSAGES: another number) for common and rare words,
// one or two at once, and prints the 95th percentile. REMPART_BENCH_SQLITE (a file) and REMPART_BENCH_POSTGRES (the URL
// of a database) are filled once and searched again by later runs.
func BenchmarkSearch(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("REMPART_BENCH_MESSAGES"))
	if n == 0 {
		n = 1_000_000
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			url := os.Getenv("REMPART_BENCH_" + strings.ToUpper(engine))
			switch {
			case url == "" && engine == "postgres":
				url = pgtest.New(b)
			case url == "":
				url = b.TempDir() + "/rempart.db"
			}
			l := newLibrary(b, url)
			if began := time.Now(); l.shelf != nil {
				l.fill(b, n)
				b.Logf("%d messages written in %v", n, time.Since(began).Round(time.Second))
			}
			for _, terms := range []int{1, 2} {
				for _, order := range []string{"rank", "recent"} {
					b.Run(fmt.Sprintf("%s/%d", order, terms), func(b *testing.B) { l.bench(b, terms, order == "recent") })
				}
			}
		})
	}
}

func (l *library) bench(b *testing.B, terms int, recent bool) {
	var took []time.Duration
	results := 0
	before := cputime.Used()
	for b.Loop() {
		term := fmt.Sprint(l.text(terms))
		began := time.Now()
		page, err := l.search.Search(b.Context(), l.caller, &search.Request{Term: term, Recent: recent})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		results += page.Count
	}
	b.ReportMetric(float64((cputime.Used()-before).Microseconds())/1000/float64(len(took)), "cpu-ms/op")
	slices.Sort(took)
	at := func(p int) float64 { return float64(took[(len(took)-1)*p/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(95), "p95-ms")
	b.ReportMetric(at(100), "max-ms")
	b.ReportMetric(float64(results)/float64(len(took)), "found/op")
}
