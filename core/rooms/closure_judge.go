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

// of judges a room for those of our servers that are in it.
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
	if len(out) == 0 {
		return nil, nil
	}
	// Why last: few rooms have anything; of those that nobody of ours is in any more there is nothing to say.
	locals, err := j.w.s.db.ListLocalMembers(ctx, in.room, storage.MemberJoin)
	if err != nil || len(locals) == 0 {
		return nil, err
	}
	return out, nil
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
