package scenario

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

const (
	mixedPeople = 100
	mixedRooms  = 20
	mixedEach   = 5 // rooms of one person, so a room has 25 people
)

// village is the rooms of the mixed day.
type village struct {
	people []csapi.User
	paths  []string                 // of the rooms
	last   []atomic.Pointer[string] // the newest event of each room
	seq    atomic.Int64
}

// person is one actor; his figures are his goroutine's until the day is over.
type person struct {
	client                *csapi.Client
	rooms                 []int
	random                *rand.Rand
	send, typing, receipt *stats.Sample
	failed                int
	first                 error
}

// mixed is a day in little: people type, send, read, and sync all the time.
func mixed(ctx context.Context, e *Env, s *Sheet) error {
	v, err := e.village(ctx)
	if err != nil {
		return err
	}
	most := int(3 * e.Sizes.MixedRate * e.Sizes.MixedTime.Seconds() * mixedPeople)
	a, err := e.listen(ctx, v.people, most+mixedPeople)
	if err != nil {
		return err
	}
	defer a.close()
	start, err := e.usage()
	if err != nil {
		return err
	}
	day := e.day(ctx, v)
	want := int64(day.send.Len()) * mixedPeople * mixedEach / mixedRooms
	a.drain(ctx, want)
	c, err := e.since(start)
	if err != nil {
		return err
	}
	a.close()
	return e.mixedSheet(ctx, s, day, a.sum(), c, want)
}

func (e *Env) mixedSheet(ctx context.Context, s *Sheet, day person, h heard, c cost, want int64) error {
	n := day.send.Len()
	e.events.Add(int64(n))
	s.add("rate", "events/s", stats.Per(float64(n), 1)/c.wall.Seconds())
	s.latency("send", day.send)
	s.latency("delivery", h.latency)
	s.latency("typing", day.typing)
	s.latency("receipt", day.receipt)
	s.add("deliveries", "", float64(h.latency.Len()))
	s.add("not delivered", "", float64(want-int64(h.latency.Len())))
	s.add("delivered twice", "", float64(h.twice))
	s.cpu(e, c, n, "message")
	if e.Target.Server != 0 {
		s.add("processors used", "", (c.server+c.database).Seconds()/c.wall.Seconds())
	}
	s.memory(e, c)
	s.failures("acts", day.failed, day.first)
	s.failures("syncs", h.failed, h.first)
	if n == 0 {
		return blasted{failed: day.failed, first: day.first}.verdict(ctx)
	}
	return ctx.Err()
}

// village makes the rooms: person p is in rooms p, p+4, p+8, … modulo 20.
func (e *Env) village(ctx context.Context) (*village, error) {
	people, err := e.newUsers(ctx, mixedPeople)
	if err != nil {
		return nil, err
	}
	v := &village{people: people, paths: make([]string, mixedRooms), last: make([]atomic.Pointer[string], mixedRooms)}
	err = e.parallel(ctx, 4, mixedRooms, func(ctx context.Context, _ *csapi.Client, i int) error {
		var members []csapi.User
		for p := range people {
			for _, r := range roomsOf(p) {
				if r == i {
					members = append(members, people[p])
				}
			}
		}
		room, err := e.room(ctx, members)
		v.paths[i] = csapi.RoomPath(room)
		return err
	})
	return v, err
}

func roomsOf(person int) []int {
	rooms := make([]int, mixedEach)
	for k := range rooms {
		rooms[k] = (person + k*mixedRooms/mixedEach) % mixedRooms
	}
	return rooms
}

// day lets everybody act for MixedTime and joins their figures.
func (e *Env) day(ctx context.Context, v *village) person {
	end := time.Now().Add(e.Sizes.MixedTime)
	all := make([]*person, len(v.people))
	var wg sync.WaitGroup
	for i, u := range v.people {
		all[i] = &person{
			client: csapi.NewClient(e.Target.Address, u), rooms: roomsOf(i),
			random: rand.New(rand.NewPCG(1, uint64(i))),
			send:   stats.NewSample(64), typing: stats.NewSample(64), receipt: stats.NewSample(64),
		}
		wg.Go(func() { all[i].live(ctx, v, e.Sizes.MixedRate, end) })
	}
	wg.Wait()
	sum := person{send: stats.NewSample(0), typing: stats.NewSample(0), receipt: stats.NewSample(0)}
	for _, p := range all {
		sum.send.Merge(p.send)
		sum.typing.Merge(p.typing)
		sum.receipt.Merge(p.receipt)
		sum.failed += p.failed
		if sum.first == nil {
			sum.first = p.first
		}
	}
	return sum
}

// live is one person's day: at random moments, rate times a second on average,
// he types and sends in one room and reads in another.
func (p *person) live(ctx context.Context, v *village, rate float64, end time.Time) {
	defer p.client.Conn.Close()
	next := time.Now()
	for p.failed < maxFailures {
		next = next.Add(time.Duration(p.random.ExpFloat64() / rate * float64(time.Second)))
		if next.After(end) || pause(ctx, time.Until(next)) != nil {
			return
		}
		room := p.rooms[p.random.IntN(len(p.rooms))]
		p.act(ctx, p.typing, func() error { return p.client.Typing(ctx, v.paths[room], true) })
		p.act(ctx, p.send, func() error {
			id, err := p.client.Send(ctx, v.paths[room], int(v.seq.Add(1)))
			if err == nil {
				v.last[room].Store(&id)
			}
			return err
		})
		p.act(ctx, p.typing, func() error { return p.client.Typing(ctx, v.paths[room], false) })
		other := p.rooms[p.random.IntN(len(p.rooms))]
		if id := v.last[other].Load(); id != nil {
			p.act(ctx, p.receipt, func() error { return p.client.Read(ctx, v.paths[other], *id) })
		}
	}
}

// act measures one request.
func (p *person) act(ctx context.Context, sample *stats.Sample, request func() error) {
	at := time.Now()
	err := request()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if p.failed++; p.first == nil {
			p.first = err
		}
	default:
		sample.Add(time.Since(at))
	}
}
