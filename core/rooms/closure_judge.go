package rooms

import (
	"context"
	"maps"
	"slices"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// inRoom are those of other servers in a room.
type inRoom struct {
	room      int64
	servers   []matrix.ServerName // with members
	strangers []storage.Stranger  // who are invited or knock
}

// note adds somebody.
func (n *inRoom) note(st storage.Stranger) {
	server := st.User.Server()
	switch {
	case st.Membership != storage.MemberJoin:
		n.strangers = append(n.strangers, st)
	case !slices.Contains(n.servers, server):
		n.servers = append(n.servers, server)
	}
}

// judging judges one room after the other. The policy is asked once about each pair of servers.
type judging struct {
	w      *Warden
	policy core.RoomPolicy
	memo   map[judgedPair]string
}

type judgedPair struct {
	act         core.RoomAct
	ours, other matrix.ServerName
}

// rule is why a server is refused; "" when it is not.
func (j *judging) rule(act core.RoomAct, ours, other matrix.ServerName) string {
	if j.w.s.isOurs(other) {
		return ""
	}
	k := judgedPair{act, ours, other}
	rule, known := j.memo[k]
	if !known {
		if r := j.policy.Judge(act, ours, other); r != nil {
			rule = r.Rule
		}
		j.memo[k] = rule
	}
	return rule
}

// of judges a room for those of our servers that are in it, whether anybody of ours is still there or not.
func (j *judging) of(ctx context.Context, in *inRoom) (out []storage.Closure, err error) {
	ours, err := j.oursIn(ctx, in.room)
	if err != nil {
		return nil, err
	}
	for _, name := range ours {
		for _, server := range in.servers {
			if rule := j.rule(core.ActClosure, name, server); rule != "" {
				out = append(out, storage.Closure{Room: in.room, Tenant: name, Subject: string(server), Kind: foundJoined, Server: server, Rule: rule})
			}
		}
		for _, user := range j.w.s.claims.users(in.room) {
			if rule := j.rule(core.ActClosure, name, user.Server()); rule != "" {
				out = append(out, storage.Closure{Room: in.room, Tenant: name, Subject: string(user), Kind: foundClaimed, Server: user.Server(), Rule: rule})
			}
		}
		for _, st := range in.strangers {
			if rule := j.rule(core.ActInvite, name, st.User.Server()); rule != "" {
				out = append(out, storage.Closure{Room: in.room, Tenant: name, Subject: string(st.User), Kind: kindOf(st), Server: st.User.Server(), Rule: rule})
			}
		}
	}
	return out, nil
}

// inhabited leaves out what was found in rooms that nobody of ours is in any more: of those there is nothing to say.
// Why last and at once: few rooms have anything, unless the policy is closed; then nearly all have.
func (j *judging) inhabited(ctx context.Context, found []storage.Closure) ([]storage.Closure, error) {
	var rooms []int64
	for _, c := range found {
		if n := len(rooms); n == 0 || rooms[n-1] != c.Room {
			rooms = append(rooms, c.Room)
		}
	}
	ours, err := j.w.s.db.FindRoomsOfLocals(ctx, rooms)
	return slices.DeleteFunc(found, func(c storage.Closure) bool { return !ours[c.Room] }), err
}

func kindOf(st storage.Stranger) string {
	if st.Membership == storage.MemberKnock {
		return foundKnock
	}
	return foundInvite
}

// oursIn are our servers in a room.
func (j *judging) oursIn(ctx context.Context, room int64) ([]matrix.ServerName, error) {
	if j.w.s.opts.Border == nil {
		return []matrix.ServerName{j.w.s.opts.Server}, nil
	}
	r, err := j.w.s.RoomByNID(ctx, room)
	if err != nil {
		return nil, err
	}
	in, err := j.w.s.serversOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(in.ours)), nil
}
