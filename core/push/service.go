// Package push owns push rules: the defaults, what users made of them, and what they say of an event. It decides at
// the time an event is appended, once for everybody, so that counts can be derived later without looking at events: the
// event carries its default outcome, and only users for whom it differs get a row.
//
// core/rooms calls [Service.Evaluate] under the room's lock; clientapi reads and changes rules. It never sends anything.
package push

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// maxCrowd bounds how many (room, member) pairs are kept in memory; beyond it all are forgotten and loaded again.
const maxCrowd = 400_000

// maxRenamed bounds for how many users a new name is looked up one by one; beyond it all who are in rooms are forgotten.
const maxRenamed = 1000

// Service holds the rules of users who have some of their own. All its methods may be called concurrently.
type Service struct {
	db  *storage.DB
	log *slog.Logger

	mu     sync.Mutex
	users  map[int64]*preferences // users who differ from the defaults
	dirty  map[int64]bool         // users whose preferences changed since they were read
	crowds map[int64]*crowd
	size   int // pairs in crowds
	// renamed are users whose profile changed since their crowds were read.
	renamed map[int64]bool
}

// preferences is what a user has changed.
type preferences struct {
	rules   *Ruleset // nil: the defaults
	ignored map[matrix.UserID]bool
	threads map[int64]bool // nil: he says nothing of threads
}

// Options are what a service is made of.
type Options struct {
	DB  *storage.DB
	Bus *bus.Bus[storage.Batch]
	Log *slog.Logger
}

// New reads the rules of all users who have some of their own and listens for changes.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{db: o.DB, log: o.Log, users: map[int64]*preferences{}, dirty: map[int64]bool{}, crowds: map[int64]*crowd{},
		renamed: map[int64]bool{}}
	o.Bus.Subscribe(s.hear)
	rows, err := o.DB.ListPushRules(ctx)
	if err != nil {
		return nil, err
	}
	// Why threads first: they add to the rules.
	if err := s.readThreads(ctx, 0); err != nil {
		return nil, err
	}
	for _, r := range rows {
		if err := s.note(ctx, r.User, r.Type, r.Content); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// hear keeps the memory true. It is called in stream order by the committer and must not touch the database.
func (s *Service) hear(b storage.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range b.Lives {
		switch {
		case l.Kind == storage.KindAccountData && l.Room == 0:
			s.hearData(l)
		case l.Kind == storage.KindThreads:
			s.dirty[l.User] = true
		case l.Kind == storage.KindMembership:
			s.forget(l.Room)
		case l.Kind == storage.KindEvent && l.User != 0:
			s.hearMember(l)
		case l.Kind == storage.KindProfile:
			s.hearProfile(l.User)
		}
	}
}

// hearProfile notes that a user may be called otherwise from now on. Where nothing is known of any room, it will be read with the new name.
func (s *Service) hearProfile(user int64) {
	if len(s.crowds) == 0 {
		return
	}
	if s.renamed[user] = true; len(s.renamed) > maxRenamed {
		clear(s.renamed)
		clear(s.crowds)
		s.size = 0
	}
}

func (s *Service) hearData(l storage.Live) {
	if row, ok := l.Value.(*storage.AccountDataRow); ok && row.Type != "m.push_rules" && row.Type != "m.ignored_user_list" {
		return
	}
	s.dirty[l.User] = true
}

// hearMember moves one member in or out, so that a large room need not be read again for each join.
func (s *Service) hearMember(l storage.Live) {
	c := s.crowds[l.Room]
	if c == nil {
		return
	}
	e, ok := l.Value.(*rooms.Stored)
	if !ok || e.StateKey == nil {
		s.forget(l.Room)
		return
	}
	s.size -= len(c.members)
	c.remove(matrix.UserID(*e.StateKey))
	if e.Membership() == "join" && e.Row.Flags&storage.FlagLocal != 0 {
		content, _ := e.MembershipContent() // a broken name is no name
		id := matrix.UserID(*e.StateKey)
		c.add(storage.NamedMember{User: l.User, ID: id, DisplayName: content.DisplayName})
		if s.users[l.User] != nil {
			c.custom[l.User] = id
		}
	}
	s.size += len(c.members)
}

func (s *Service) forget(room int64) {
	if c := s.crowds[room]; c != nil {
		s.size -= len(c.members) + 1
		delete(s.crowds, room)
	}
}

// note takes in a user's stored rules or ignored users. mu is held, or nobody else knows the service yet.
func (s *Service) note(ctx context.Context, user int64, typ string, content []byte) error {
	p := s.users[user]
	if p == nil {
		p = &preferences{}
	}
	if typ == "m.ignored_user_list" {
		p.ignored = IgnoredUsers(content)
	} else {
		id, err := s.db.GetUserID(ctx, user)
		if err != nil {
			return err
		}
		rules, err := parse(string(id), content)
		if err != nil {
			s.log.Warn("stored push rules are not readable, the defaults apply", "user", string(id), "error", err)
		}
		rules = p.withThreads(rules)
		p.rules = &rules
	}
	if p.rules != nil || len(p.ignored) > 0 {
		s.users[user] = p
	}
	return nil
}

// IgnoredUsers reads the content of m.ignored_user_list. Spec: client-server-api/#mignored_user_list
func IgnoredUsers(content []byte) map[matrix.UserID]bool {
	var c struct {
		Users map[matrix.UserID]json.RawMessage `json:"ignored_users"`
	}
	_ = matrix.Decode(content, &c) // what is no list ignores nobody
	out := make(map[matrix.UserID]bool, len(c.Users))
	for id := range c.Users {
		out[id] = true
	}
	return out
}

// refresh reads again what changed. mu is held.
func (s *Service) refresh(ctx context.Context) error {
	for user := range s.dirty {
		id, err := s.db.GetUserID(ctx, user)
		if err != nil {
			return err
		}
		delete(s.users, user)
		if err := s.readThreads(ctx, user); err != nil {
			return err
		}
		for _, typ := range [...]string{"m.push_rules", "m.ignored_user_list"} {
			data, err := s.db.FindAccountData(ctx, user, 0, typ)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := s.note(ctx, user, typ, data.Content); err != nil {
				return err
			}
		}
		for _, c := range s.crowds {
			c.mark(user, id, s.users[user] != nil)
		}
		delete(s.dirty, user)
	}
	return s.rename(ctx)
}

// rename reads how those are called now whose profile changed, and leaves the others in their rooms as they are known. mu is held.
func (s *Service) rename(ctx context.Context) error {
	for user := range s.renamed {
		u, err := s.db.GetUser(ctx, user)
		if err != nil && !errors.Is(err, storage.ErrNotFound) { // who has no account is in no crowd
			return err
		}
		for _, c := range s.crowds {
			c.rename(storage.NamedMember{User: user, ID: u.ID, DisplayName: u.DisplayName})
		}
		delete(s.renamed, user)
	}
	return nil
}

// mark notes whether a member has preferences of his own.
func (c *crowd) mark(user int64, id matrix.UserID, custom bool) {
	if _, in := c.members[id]; in && custom {
		c.custom[user] = id
	} else {
		delete(c.custom, user)
	}
}

// crowdOf is the crowd of a room, loaded when it is not known. mu is held.
func (s *Service) crowdOf(ctx context.Context, room int64) (*crowd, error) {
	if c := s.crowds[room]; c != nil {
		return c, nil
	}
	c, err := s.loadCrowd(ctx, room)
	if err != nil {
		return nil, err
	}
	for id, user := range c.members {
		if s.users[user] != nil {
			c.custom[user] = id
		}
	}
	if s.size += len(c.members) + 1; s.size > maxCrowd {
		clear(s.crowds)
		s.size = len(c.members) + 1
	}
	s.crowds[room] = c
	return c, nil
}
