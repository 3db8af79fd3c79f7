package sender

import (
	"context"
	"slices"

	"rempart/core/ledger"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// manifest is what the record says of a transaction, and which rooms it is about.
type manifest struct {
	items []byte
	about []ledger.Name
	types []string
	rooms []int64
}

func (m *manifest) name(n ledger.Name) {
	if !slices.Contains(m.about, n) {
		m.about = append(m.about, n)
	}
}

// event notes an event; its id stands for its contents.
func (m *manifest) event(e *rooms.Stored) {
	m.items = ledger.AppendItem(m.items, []byte(e.ID))
	if !slices.Contains(m.rooms, e.Row.Room) {
		m.rooms = append(m.rooms, e.Row.Room)
	}
	m.name(ledger.Room(e.RoomID))
	m.name(ledger.User(e.Sender))
}

// message notes a message that is no event.
func (m *manifest) message(kind string, raw []byte) {
	m.items = ledger.AppendItem(m.items, raw)
	if !slices.Contains(m.types, kind) {
		m.types = append(m.types, kind)
	}
}

// record begins to record transactions; the function that it returns waits until that is durable.
// Why begun beside the storing of the transactions: both then share one commit.
func (p *dispatch) record(ctx context.Context, list []*destination) func() ([]ledger.Permit, error) {
	if p.Ledger == nil || len(list) == 0 {
		return func() ([]ledger.Permit, error) { return make([]ledger.Permit, len(list)), nil }
	}
	permits := make([]ledger.Permit, len(list))
	passages := p.passages(list)
	done := make(chan error, 1)
	p.wg.Go(func() {
		intents := make([]ledger.Intent, len(passages))
		for i, one := range passages {
			intents[i] = one.intent
		}
		begun, err := p.Ledger.Begin(ctx, intents...)
		for i, permit := range begun {
			for to, at := range passages[i].of {
				permits[at] = permit.To(to)
			}
		}
		done <- err
	})
	return func() ([]ledger.Permit, error) {
		err := <-done
		return permits, err
	}
}

// passage is what one record is about, and whose it is: their places in the list.
type passage struct {
	intent ledger.Intent
	of     []int
}

// passages are the records of transactions: one for all who are told the same.
func (p *dispatch) passages(list []*destination) []*passage {
	type same struct {
		wave *wave
		kind ledger.Kind
	}
	known := map[same]*passage{}
	var out []*passage
	for i, d := range list {
		key := same{d.wave, ledger.Transaction}
		if p.within(d) {
			key.kind = ledger.Internal
		}
		one := known[key]
		if one == nil || d.wave == nil {
			one = &passage{intent: ledger.Intent{Items: d.manifest.items, About: d.manifest.about, Record: ledger.Record{
				Kind: key.kind, For: "federation", Tenant: string(d.Origin), Types: d.manifest.types, Bytes: int64(len(d.body)),
			}}}
			known[key] = one
			out = append(out, one)
		}
		one.of = append(one.of, i)
		one.intent.Record.Dests = append(one.intent.Record.Dests, string(d.Server))
	}
	return out
}

// unrecorded keeps back what could not be recorded, until later.
func (p *dispatch) unrecorded(list []*destination, err error) error {
	p.Log.Error("nothing is sent to other servers: it cannot be recorded", "error", err)
	for _, d := range list {
		if d.retrying {
			p.failing--
		}
		d.inFlight, d.retrying, d.delivery, d.body, d.manifest = false, false, nil, nil, manifest{}
		p.failed(d, err)
	}
	return nil
}

func outcomeOf(d *destination, err error) ledger.Outcome {
	o := ledger.Outcome{OK: err == nil, Sent: int64(len(d.body))}
	if err != nil {
		o.Why = err.Error()
	}
	if matrix.RefusalOf(err) != nil {
		o.Sent = 0 // it was refused before anything was sent
	}
	return o
}
