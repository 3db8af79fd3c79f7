package rooms

import (
	"context"
	"maps"
	"slices"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxServerLists bounds the rooms whose servers are remembered for readers.
const maxServerLists = 5000

// serverLists remembers which other servers are in rooms, for those who only read. What changes a room's members drops its list,
// before whoever made the change is answered; what was read before such a drop is not kept after it.
type serverLists struct {
	mu    sync.Mutex
	known map[int64]*servers
	// visitors are by room and server those who ever had a membership there, held how many there are of them in all.
	visitors map[int64]map[matrix.ServerName]visitors
	held     int
	drops    uint64
}

// maxVisitorsHeld bounds the people whose part in rooms is remembered, maxVisitorList those of one server in one room.
const (
	maxVisitorsHeld = 50_000
	maxVisitorList  = 1000
)

// visitors are people of one server who ever had a membership in a room, members first.
type visitors struct {
	users []matrix.UserID
	how   []storage.Membership
	gone  int64 // the event by which the last member went; 0 while there is one, and where there never was
}

func (l *serverLists) findVisitors(room int64, server matrix.ServerName) (v visitors, found bool, before uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, found = l.visitors[room][server]
	return v, found, l.drops
}

func (l *serverLists) putVisitors(room int64, server matrix.ServerName, v visitors, before uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drops != before {
		return
	}
	if l.held += len(v.users) + 1; l.visitors == nil || l.held > maxVisitorsHeld {
		l.visitors, l.held = map[int64]map[matrix.ServerName]visitors{}, len(v.users)+1
	}
	if l.visitors[room] == nil {
		l.visitors[room] = map[matrix.ServerName]visitors{}
	}
	l.visitors[room][server] = v
}

func (l *serverLists) find(room int64) (found *servers, before uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[room], l.drops
}

func (l *serverLists) put(room int64, s *servers, before uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drops != before {
		return
	}
	if l.known == nil || len(l.known) >= maxServerLists {
		l.known = map[int64]*servers{}
	}
	l.known[room] = s
}

// hear drops what an entry of a commit may have changed.
func (l *serverLists) hear(e *storage.Live) {
	switch e.Kind {
	case storage.KindMembership, storage.KindState, storage.KindRoom:
	case storage.KindEvent:
		if e.User == 0 {
			if st, ok := e.Value.(*Stored); ok && !st.IsState() {
				return
			}
		}
	default:
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drops++
	delete(l.known, e.Room)
	for _, v := range l.visitors[e.Room] {
		l.held -= len(v.users) + 1
	}
	delete(l.visitors, e.Room)
}

// serversOf are the other servers in a room as they were committed.
func (s *Service) serversOf(ctx context.Context, r *Room) (*servers, error) {
	if n := r.committed.Load(); n != nil && n.servers != nil {
		return n.servers, nil
	}
	found, before := s.serverLists.find(r.nid)
	if found != nil {
		return found, nil
	}
	found, err := s.loadServers(ctx, r.nid)
	if err == nil {
		s.serverLists.put(r.nid, found, before)
	}
	return found, err
}

// joinedFrom reports whether another server has a member in a room.
func (s *Service) joinedFrom(ctx context.Context, r *Room, server matrix.ServerName) (bool, error) {
	all, err := s.serversOf(ctx, r)
	if err != nil {
		return false, err
	}
	return all.members[server] > 0, nil
}

// visitorsOf are the people of a server who ever had to do with a room. Why remembered: to find them all members are looked through, and any
// server may ask.
func (s *Service) visitorsOf(ctx context.Context, r *Room, server matrix.ServerName) (visitors, error) {
	v, found, before := s.serverLists.findVisitors(r.nid, server)
	if found {
		return v, nil
	}
	users, how, err := s.db.ListServerMembers(ctx, r.nid, server, maxVisitorList)
	if err != nil {
		return visitors{}, err
	}
	v = visitors{users: users, how: how}
	if v.gone, err = s.departure(ctx, r, v); err == nil {
		s.serverLists.putVisitors(r.nid, server, v, before)
	}
	return v, err
}

// departure is the event by which the last member among some people went; 0 when one of them is a member, and when none ever was. Of many only
// those whose memberships changed last are looked at.
func (s *Service) departure(ctx context.Context, r *Room, of visitors) (last int64, err error) {
	if len(of.how) > 0 && of.how[0] == storage.MemberJoin {
		return 0, nil
	}
	for _, u := range of.users[:min(len(of.users), maxVisitors)] {
		left, err := s.lastLeave(ctx, r, u)
		if err != nil {
			return 0, err
		}
		if left != nil {
			last = max(last, left.Row.NID)
		}
	}
	return last, nil
}

// byMembers are the servers in a room, those with the most members first.
func (s *servers) byMembers() []matrix.ServerName {
	names := slices.Sorted(maps.Keys(s.members))
	slices.SortStableFunc(names, func(a, b matrix.ServerName) int { return s.members[b] - s.members[a] })
	return names
}
