package rooms

import (
	"cmp"
	"context"
	"slices"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// Found is something in a room that the policy does not want there.
type Found struct {
	Room matrix.RoomID `json:"room_id"`
	// Kind is joined or, on the word of a server in the room alone, claimed, which freeze the room, or invite or knock.
	Kind   string            `json:"kind"`
	Server matrix.ServerName `json:"server"`
	// User is who is invited or knocks.
	User   matrix.UserID     `json:"user_id,omitempty"`
	Tenant matrix.ServerName `json:"tenant"`
	Rule   string            `json:"rule"`
	Answer string            `json:"answer,omitempty"`
	Since  int64             `json:"since_ts"`
}

// Found lists what is in rooms against the policy, for one of our servers or, when it is "", for all.
func (w *Warden) Found(ctx context.Context, tenant matrix.ServerName) ([]Found, error) {
	if w == nil {
		return []Found{}, nil
	}
	w.mu.Lock()
	list := make([]storage.Closure, 0, len(w.known))
	for _, c := range w.known {
		if tenant == "" || c.Tenant == tenant {
			list = append(list, c)
		}
	}
	w.mu.Unlock()
	return w.s.foundOf(ctx, list)
}

// Would lists what another policy would not want in rooms.
func (w *Warden) Would(ctx context.Context, p core.RoomPolicy) ([]Found, error) {
	if w == nil {
		return []Found{}, nil
	}
	list, _, err := w.find(ctx, p)
	if err != nil {
		return nil, err
	}
	return w.s.foundOf(ctx, list)
}

// foundOf names the rooms of what was found.
func (s *Service) foundOf(ctx context.Context, list []storage.Closure) ([]Found, error) {
	slices.SortFunc(list, func(a, b storage.Closure) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Subject, b.Subject))
	})
	out := []Found{}
	for _, c := range list {
		r, err := s.RoomByNID(ctx, c.Room)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := Found{Room: r.id, Kind: c.Kind, Server: c.Server, Tenant: c.Tenant, Rule: c.Rule, Answer: c.Answer, Since: c.Since}
		if c.Kind != foundJoined {
			f.User = matrix.UserID(c.Subject)
		}
		out = append(out, f)
	}
	return out, nil
}

// Frozen counts the rooms into which some of ours may not write.
func (w *Warden) Frozen() int {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rooms := map[int64]bool{}
	for k, c := range w.known {
		if freezes(c.Kind) {
			rooms[k.room] = true
		}
	}
	return len(rooms)
}

// Closure is how a room stands, with what can be done about it.
type Closure struct {
	Room   matrix.RoomID `json:"room_id"`
	Frozen bool          `json:"frozen"`
	// Servers are those in the room that the policy refuses.
	Servers []ShutServer `json:"servers"`
	// Words are what is told to whoever would write.
	EN string `json:"text_en,omitempty"`
	FR string `json:"text_fr,omitempty"`
	// Remedies are what members of this server may do, and who: kick and ban by name, leave by anybody.
	Remedies []Remedy `json:"remedies"`
}

// ShutServer is a server that is refused.
type ShutServer struct {
	Server   matrix.ServerName `json:"server"`
	Members  int               `json:"members"`
	Rule     string            `json:"rule"`
	Decision string            `json:"decision_id"`
}

// Remedy is an act that helps, and a user of ours who has the power to do it.
type Remedy struct {
	Act string        `json:"act"`
	By  matrix.UserID `json:"by,omitempty"`
}

// Closure tells how a room stands for one of our servers.
func (s *Service) Closure(ctx context.Context, r *Room, ours matrix.ServerName) (Closure, error) {
	out := Closure{Room: r.id, Servers: []ShutServer{}, Remedies: []Remedy{}}
	if s.opts.Policy == nil {
		return out, nil
	}
	in, err := s.serversOf(ctx, r)
	if err != nil {
		return out, err
	}
	shut := s.shutFor(r.nid, in, ours)
	if len(shut) == 0 {
		return out, nil
	}
	out.Frozen = true
	for _, c := range shut {
		out.Servers = append(out.Servers, ShutServer{c.Server, c.Members, c.Refusal.Rule, c.Refusal.Decision})
	}
	e := frozen(shut)
	out.EN, out.FR = e.Message, e.MessageFR
	list, err := s.powerful(ctx, r, ours)
	if err != nil {
		return out, err
	}
	if len(list) > 0 {
		for _, act := range []string{"kick", "ban", "server_acl", "upgrade"} {
			out.Remedies = append(out.Remedies, Remedy{act, list[0]})
		}
	}
	out.Remedies = append(out.Remedies, Remedy{Act: "leave"})
	return out, nil
}

// powerful are users of ours who may remove others from a room, the mightiest first; of one of our servers unless it is "".
func (s *Service) powerful(ctx context.Context, r *Room, ours matrix.ServerName) ([]matrix.UserID, error) {
	v, err := s.Current(ctx, r)
	if err != nil {
		return nil, err
	}
	locals, err := s.db.ListLocalMembers(ctx, r.nid, storage.MemberJoin)
	if err != nil {
		return nil, err
	}
	power := map[matrix.UserID]int64{}
	var able []matrix.UserID
	for _, u := range locals {
		if ours != "" && u.Server() != ours {
			continue
		}
		target := "@:invalid"
		auth, err := v.AuthState(ctx, u, "m.room.member", &target, []byte(`{"membership":"leave"}`))
		if err != nil {
			return nil, err
		}
		if p := authrules.PowerLevelOf(auth, u); p >= authrules.KickPower(auth) {
			power[u] = p
			able = append(able, u)
		}
	}
	slices.SortFunc(able, func(a, b matrix.UserID) int { return cmp.Or(cmp.Compare(power[b], power[a]), cmp.Compare(a, b)) })
	return able, nil
}

// maxShowers bounds in whose name it is tried to show somebody out.
const maxShowers = 3

// showOut removes a stranger in the name of a user of ours who has the power, and says how: "kick", "ban" for who comes again, ""
// when nobody could.
func (w *Warden) showOut(ctx context.Context, r *Room, user matrix.UserID) string {
	key := strangerKey{r.nid, user}
	w.mu.Lock()
	again := w.shownOut[key]
	w.mu.Unlock()
	act, err := w.s.remove(ctx, r, "", user, again)
	if err != nil {
		w.s.log.WarnContext(ctx, "nobody here can show a stranger out", "room", r.id, "user", user, "error", err)
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.shownOut) > 10_000 {
		clear(w.shownOut)
	}
	w.shownOut[key] = true
	return act
}

// remove kicks or bans a user in the name of the mightiest of ours, of one of our servers unless it is "".
func (s *Service) remove(ctx context.Context, r *Room, ours matrix.ServerName, user matrix.UserID, ban bool) (act string, err error) {
	able, err := s.powerful(ctx, r, ours)
	if err != nil {
		return "", err
	}
	err = matrix.Forbidden("No user of this server has the power to remove others from this room.")
	for _, by := range able[:min(len(able), maxShowers)] {
		m := MembershipChange{Room: r, Sender: by, Target: user}
		if ban {
			if err = s.Ban(ctx, m); err == nil {
				return "ban", nil
			}
		}
		if err = s.Kick(ctx, m); err == nil {
			return "kick", nil
		}
	}
	return "", err
}

// Expel removes all members of a server from a room in the name of a user of one of ours who has the power, and counts them. It is what an
// administrator does about a frozen room.
func (s *Service) Expel(ctx context.Context, r *Room, ours, server matrix.ServerName, ban bool) (int, error) {
	if s.isOurs(server) {
		return 0, matrix.InvalidParam("That server is this one.")
	}
	var users []matrix.UserID
	err := s.db.EachStranger(ctx, r.nid, true, func(st storage.Stranger) error {
		if st.User.Server() == server {
			users = append(users, st.User)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	claimed := map[matrix.UserID]bool{}
	for _, u := range s.claims.users(r.nid) {
		if u.Server() == server {
			users, claimed[u] = append(users, u), true
		}
	}
	n := 0
	for _, u := range users {
		if _, err := s.remove(ctx, r, ours, u, ban || claimed[u]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
