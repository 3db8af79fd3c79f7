package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Entry is a record in the answer to a question, with what became of it and whom it means.
type Entry struct {
	Record
	// Place is inside, local, outside or unplaced: where the other end is.
	Place   string   `json:"place,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"`
	// About are the people, rooms and files concerned, those that were erased left out.
	About []string `json:"about,omitempty"`
}

// Trail is the answer to a question, with what is needed to check it: the log of that many records was read, and its newest
// checkpoint signs so many of them.
type Trail struct {
	Entries []Entry `json:"entries"`
	// More says that there were more than can be listed.
	More       bool   `json:"more,omitempty"`
	Size       int64  `json:"size"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

// maxEntries bounds an answer.
const maxEntries = 10_000

// TraceName lists every record about a person, a room or a file.
func (s *Service) TraceName(ctx context.Context, name Name) (Trail, error) {
	aliases, err := s.aliases(ctx, name)
	if err != nil {
		return Trail{}, err
	}
	var keys []indexKey
	texts := map[string]bool{}
	for _, a := range aliases {
		keys = append(keys, indexKey(a))
		texts[base64.RawURLEncoding.EncodeToString(a)] = true
	}
	return s.trail(ctx, keys, func(r *Record) bool {
		return r.Kind != Erased && slices.ContainsFunc(r.Objects, func(o string) bool { return texts[o] })
	})
}

// TraceDest lists every record about another server or host.
func (s *Service) TraceDest(ctx context.Context, dest string) (Trail, error) {
	return s.trail(ctx, []indexKey{destKey(dest)}, func(r *Record) bool { return r.Dest == dest })
}

// LeftTerritory lists what was let out to places that are outside the territory, or that nobody knows, between two instants in milliseconds;
// a second one of 0 is now. What people read abroad is another question: [Service.ReadAbroad].
func (s *Service) LeftTerritory(ctx context.Context, from, to int64) (Trail, error) {
	return s.between(ctx, from, to, func(r *Record) bool {
		return leaves(r.Kind) && s.place(r) >= outside
	})
}

// ReadAbroad lists what sessions read from outside the territory, or from places that nobody knows.
func (s *Service) ReadAbroad(ctx context.Context, from, to int64) (Trail, error) {
	return s.between(ctx, from, to, func(r *Record) bool { return r.Kind == Read && s.place(r) >= outside })
}

// leaves reports whether records of a kind say by themselves where something went. A transaction goes over connections that have
// records of their own.
func leaves(k Kind) bool { return k == Connection || k == Answer }

// between lists records of some time. It reads all of them: what is not in the answer is not in the log.
func (s *Service) between(ctx context.Context, from, to int64, wanted func(*Record) bool) (Trail, error) {
	s.flush(true) //nolint:contextcheck // as in collect; here too, since the log is read no further than to the head of now
	head, err := s.db.GetLedgerHead(ctx)
	if err != nil {
		return Trail{}, err
	}
	first, err := s.db.FindLedgerTime(ctx, from)
	if errors.Is(err, storage.ErrNotFound) {
		first, err = head.Size, nil
	}
	if err != nil {
		return Trail{}, err
	}
	return s.collect(ctx, func(fn func(*Record) error) error {
		return s.scan(ctx, first, head.Size, fn)
	}, func(r *Record) bool { return (to == 0 || r.TS <= to) && wanted(r) })
}

// trail lists the records that some keys lead to.
func (s *Service) trail(ctx context.Context, keys []indexKey, wanted func(*Record) bool) (Trail, error) {
	return s.collect(ctx, func(fn func(*Record) error) error { return s.search(ctx, keys, fn) }, wanted)
}

func (s *Service) collect(ctx context.Context, read func(func(*Record) error) error, wanted func(*Record) bool) (Trail, error) {
	s.flush(true) //nolint:contextcheck // what is noted is written whoever asks, and asks no longer
	t := Trail{Entries: []Entry{}}
	err := read(func(r *Record) error {
		r.each(func(r *Record) {
			switch {
			case !wanted(r):
			case len(t.Entries) >= maxEntries:
				t.More = true
			default:
				t.Entries = append(t.Entries, Entry{Record: *r})
			}
		})
		return ctx.Err()
	})
	if err != nil {
		return t, err
	}
	if err := s.complete(ctx, t.Entries); err != nil {
		return t, err
	}
	head, err := s.db.GetLedgerHead(ctx)
	if err != nil {
		return t, err
	}
	t.Size = head.Size
	c, err := s.db.FindLedgerCheckpoint(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return t, nil
	}
	t.Checkpoint = string(c.Note)
	return t, err
}

// complete adds outcomes, places and meanings.
func (s *Service) complete(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	type passage struct {
		n     int64
		which int
	}
	at := map[passage]int{}
	var keys []indexKey
	meanings := map[string]Name{}
	for i := range entries {
		e := &entries[i]
		if at[passage{e.N, e.which}] = i; leaves(e.Kind) || e.Kind == Read {
			e.Place = s.place(&e.Record).String()
		}
		keys = append(keys, outcomeKey(e.N/blockSize))
		for _, alias := range e.Objects {
			name, known := meanings[alias]
			if !known {
				var err error
				if name, err = s.meaning(ctx, alias); err != nil {
					return err
				}
				meanings[alias] = name
			}
			if name != "" {
				e.About = append(e.About, string(name))
			}
		}
	}
	slices.Sort(keys)
	return s.search(ctx, slices.Compact(keys), func(r *Record) error {
		for _, o := range r.Of {
			to := o.To
			if o.To = nil; len(to) == 0 {
				to = []int{0}
			}
			for _, which := range to {
				if i, ok := at[passage{o.N, which}]; ok {
					entries[i].Outcome = &o
				}
			}
		}
		return nil
	})
}

// Store is a place where this server itself keeps things, as its operator declares it.
type Store struct {
	Name     string   `json:"name"`
	Holds    []string `json:"holds"` // rooms, files, accounts, backups …
	Site     string   `json:"site"`
	Operator string   `json:"operator"`
	Country  string   `json:"country"`
}

// Residency says where an object is: in our own stores, at other servers that were given of it, and who read it.
type Residency struct {
	Stores  []Store          `json:"stores"`
	Servers map[string]int64 `json:"servers"` // how many records give each of it
	Readers map[string]int64 `json:"readers"` // sessions by place: inside, local, outside, unplaced
	More    bool             `json:"more,omitempty"`
}

// Resides says where a room's or file's contents are; class is what stores hold of it.
func (s *Service) Resides(ctx context.Context, name Name, class string) (Residency, error) {
	out := Residency{Stores: []Store{}, Servers: map[string]int64{}, Readers: map[string]int64{}}
	for _, st := range s.Stores {
		if slices.Contains(st.Holds, class) || slices.Contains(st.Holds, "all") {
			out.Stores = append(out.Stores, st)
		}
	}
	t, err := s.TraceName(ctx, name)
	if err != nil {
		return out, err
	}
	sessions := map[string]bool{}
	for _, e := range t.Entries {
		switch e.Kind {
		case Transaction, Answer, Internal:
			if e.Outcome == nil || e.Outcome.OK || e.Outcome.Sent > 0 { // else it was kept back after all
				out.Servers[e.Dest]++
			}
		case Read:
			if !sessions[e.Session+e.Place] {
				sessions[e.Session+e.Place] = true
				out.Readers[e.Place]++
			}
		default:
		}
	}
	out.More = t.More
	return out, nil
}

// NameOf reads what a question is about: a user, room or file id.
func NameOf(kind, id string) (Name, error) {
	switch kind {
	case "user":
		u, err := matrix.ParseUserID(id)
		return User(u), err
	case "room":
		r, err := matrix.ParseRoomID(id)
		return Room(r), err
	case "media":
		return File(id), nil
	}
	return "", matrix.InvalidParam("The ledger can be asked about a user, a room or media.")
}
