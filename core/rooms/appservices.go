package rooms

import (
	"context"
	"maps"
	"slices"

	"rempart/core/appservice"
	"rempart/internal/matrix"
	"rempart/storage"
)

// followers are the application services that follow a room. It is immutable.
type followers struct {
	// members counts joined users by service, fixed are those that follow the room by its id or an alias.
	members map[*appservice.Service]int
	fixed   []*appservice.Service
	all     []*appservice.Service
}

func newFollowers(members map[*appservice.Service]int, fixed []*appservice.Service) *followers {
	return &followers{members, fixed, union(slices.Collect(maps.Keys(members)), fixed)}
}

// union is the set of services in two lists, by number.
func union(a, b []*appservice.Service) []*appservice.Service {
	switch {
	case len(b) == 0 && len(a) < 2:
		return a
	case len(a) == 0 && len(b) < 2:
		return b
	}
	out := append(slices.Clone(a), b...)
	slices.SortFunc(out, func(x, y *appservice.Service) int {
		if x.Number < y.Number {
			return -1
		}
		return int(min(1, uint64(x.Number)-uint64(y.Number)))
	})
	return slices.Compact(out)
}

// loadFollowers reads who follows a room.
func (s *Service) loadFollowers(ctx context.Context, r *Room) (*followers, error) {
	reg, members := s.opts.Services, map[*appservice.Service]int{}
	users, err := s.db.ListLocalMembers(ctx, r.nid, storage.MemberJoin)
	if err != nil {
		return nil, err
	}
	for _, user := range users {
		for _, of := range reg.OfUser(user) {
			members[of]++
		}
	}
	fixed, err := s.fixedFollowers(ctx, r)
	return newFollowers(members, fixed), err
}

// fixedFollowers are the services that follow a room whoever is in it.
func (s *Service) fixedFollowers(ctx context.Context, r *Room) ([]*appservice.Service, error) {
	var aliases []matrix.RoomAlias
	if s.opts.Services.FollowsAliases() {
		var err error
		if aliases, err = s.db.ListAliases(ctx, r.nid); err != nil {
			return nil, err
		}
	}
	return s.opts.Services.OfRoom(r.id, aliases), nil
}

// readyFollowers lets who follows the room go with its aliases, which come and go beside the graph; mu is held.
func (r *Room) readyFollowers(ctx context.Context) error {
	if !r.renamed.Load() || r.tip.followers == nil {
		return nil
	}
	r.renamed.Store(false) // Why before: a change that comes meanwhile counts again
	fixed, err := r.s.fixedFollowers(ctx, r)
	if err != nil {
		r.renamed.Store(true)
		return err
	}
	tip := *r.tip
	tip.followers = newFollowers(tip.followers.members, fixed)
	r.tip = &tip
	return nil
}

// Followers are the application services that follow a room.
func (s *Service) Followers(ctx context.Context, r *Room) ([]*appservice.Service, error) {
	if !s.opts.Services.Any() {
		return nil, nil
	}
	if n := r.committed.Load(); n != nil && n.followers != nil && !r.renamed.Load() {
		return n.followers.all, nil
	}
	f, err := s.loadFollowers(ctx, r)
	if err != nil {
		return nil, err
	}
	return f.all, nil
}

// countFollower lets the services that follow the room go with a membership.
func (b *builder) countFollower(user matrix.UserID, was, is storage.Membership) {
	by := 0
	if was == storage.MemberJoin {
		by--
	}
	if is == storage.MemberJoin {
		by++
	}
	if by == 0 || !b.s.opts.Services.Any() {
		return
	}
	of := b.s.opts.Services.OfUser(user)
	if len(of) == 0 {
		return
	}
	f := b.following()
	members := maps.Clone(f.members)
	if members == nil {
		members = map[*appservice.Service]int{}
	}
	for _, s := range of {
		if members[s] += by; members[s] <= 0 {
			delete(members, s)
		}
	}
	b.snap.followers = newFollowers(members, f.fixed)
}

// following is who follows the room as built so far; of a new room, by its name alone.
func (b *builder) following() *followers {
	if f := b.snap.followers; f != nil {
		return f
	}
	return newFollowers(nil, b.s.opts.Services.OfRoom(b.r.id, b.r.firstAliases))
}

// announce lets the application services that follow an event hear of it: by the room as it was before, by the sender, and by
// who the event is about. Spec: application-service-api/#registration
func (b *builder) announce(e *Stored) {
	reg := b.s.opts.Services
	if !reg.Any() {
		return
	}
	of := union(b.following().all, reg.OfUser(e.Sender))
	if e.Type == "m.room.member" && e.IsState() {
		of = union(of, reg.OfUser(matrix.UserID(*e.StateKey)))
	}
	if len(of) > 0 {
		b.change.Add(outboxRow(e.Row.Live, e.Row.NID, of))
		e.followers = of
	}
}

// announceOutside lets services hear of an invitation into a room that is elsewhere.
func (s *Service) announceOutside(c *storage.Change, live int, event int64, user matrix.UserID) {
	if of := s.opts.Services.OfUser(user); len(of) > 0 {
		c.Add(outboxRow(live, event, of))
	}
}

func outboxRow(live int, event int64, of []*appservice.Service) *storage.AppserviceOutboxRow {
	row := &storage.AppserviceOutboxRow{At: storage.At{Live: live}, Event: event}
	for _, s := range of {
		row.Services = append(row.Services, s.Number)
	}
	return row
}

// ToldTo are the application services that are to hear of an event that was made in this process.
func (e *Stored) ToldTo() []*appservice.Service { return e.followers }

// renames notes in a Change that the aliases of a room change, where a service follows rooms by such.
func (s *Service) renames(c *storage.Change, room int64, alias matrix.RoomAlias) {
	if s.opts.Services.FollowsAlias(alias) {
		c.Live(storage.Live{Kind: storage.KindRoom, Room: room})
	}
}

// mayName refuses an alias that is for an application service alone, and aliases beside its own to a service.
// Spec: application-service-api/#server-admin-style-permissions
func (s *Service) mayName(c matrix.Caller, alias matrix.RoomAlias) error {
	by := s.opts.Services.ByID(c.Appservice)
	if by != nil && !by.OwnsAlias(alias) {
		return matrix.Exclusive("The alias is not in the application service's namespace.")
	}
	if s.opts.Services.ReservedAlias(alias, by) {
		return matrix.Exclusive("This alias is reserved for an application service.")
	}
	return nil
}

// makeUser lets application services make a user of theirs whom somebody invites; no lock is held.
// Spec: application-service-api/#querying
func (s *Service) makeUser(ctx context.Context, user matrix.UserID) {
	if s.opts.Asked == nil {
		return
	}
	if _, err := s.opts.Asked.MakeUser(ctx, user); err != nil {
		s.log.Info("an application service does not say whether a user exists", "user", string(user), "error", err)
	}
}
