package graphgen

import (
	"fmt"

	"rempart/internal/matrix"
	"rempart/internal/matrix/stateres/naive"
)

// createDraft is the room's first event.
func (g *generator) createDraft() draft {
	content := object{"room_version": g.Version.ID}
	if !g.Version.ImplicitRoomCreator {
		content["creator"] = string(g.Users[0])
	}
	if g.Version.PrivilegedCreators && g.chance(20) {
		content["additional_creators"] = []string{string(g.Users[len(g.Users)-1])}
	}
	if g.o.Room != "room" {
		content["org.example.room"] = g.o.Room // from version 12 on the id follows from the content
	}
	if g.chance(4) {
		content["m.federate"] = false
	}
	return draft{typ: "m.room.create", key: key(""), content: content}
}

func (g *generator) firstPowerLevels() draft {
	users := object{string(g.Users[1]): 50}
	if !g.Version.PrivilegedCreators {
		users[string(g.Users[0])] = 100
	}
	return powerDraft(object{"users": users, "events": object{"m.room.topic": 25}})
}

func powerDraft(content object) draft {
	return draft{typ: "m.room.power_levels", key: key(""), content: content}
}

// powerLevels changes a few entries of the levels in force.
func (g *generator) powerLevels(state naive.State) draft {
	content := object{}
	users, events := object{}, object{}
	if e := g.Room.Events[state[matrix.StateTuple{Type: "m.room.power_levels"}]]; e != nil {
		if now, err := e.PowerLevels(); err == nil {
			copySingles(content, now)
			for u, level := range now.Users {
				users[string(u)] = level
			}
			for typ, level := range now.Events {
				events[typ] = level
			}
		}
	}
	for range 1 + g.r.IntN(2) {
		g.changeLevel(content, users, events)
	}
	content["users"], content["events"] = users, events
	return powerDraft(content)
}

func (g *generator) changeLevel(content, users, events object) {
	level := []int{0, 0, 25, 50, 50, 75, 100}[g.r.IntN(7)]
	var value any = level
	if !g.Version.IntegerPowerLevels && g.chance(10) {
		value = fmt.Sprintf(" +%03d ", level)
	}
	switch g.r.IntN(5) {
	case 0:
		single := []string{"ban", "kick", "invite", "redact", "users_default", "events_default", "state_default"}
		content[single[g.r.IntN(len(single))]] = value
	case 1:
		events[[]string{"m.room.topic", "m.room.name", "m.room.join_rules"}[g.r.IntN(3)]] = value
	case 2:
		content["notifications"] = object{"room": value}
	default:
		u := string(g.pick(g.Users[len(g.Users)/2], 40))
		if u == string(g.Users[0]) && g.long() {
			return
		}
		if _, there := users[u]; there && g.chance(30) {
			delete(users, u)
			return
		}
		users[u] = value
	}
}

func copySingles(content object, p *matrix.PowerLevels) {
	for _, s := range []struct {
		bit   matrix.PowerKey
		name  string
		level int64
	}{
		{matrix.PowerUsersDefault, "users_default", p.UsersDefault},
		{matrix.PowerEventsDefault, "events_default", p.EventsDefault},
		{matrix.PowerStateDefault, "state_default", p.StateDefault},
		{matrix.PowerBan, "ban", p.Ban},
		{matrix.PowerKick, "kick", p.Kick},
		{matrix.PowerRedact, "redact", p.Redact},
		{matrix.PowerInvite, "invite", p.Invite},
	} {
		if p.Present&s.bit != 0 {
			content[s.name] = s.level
		}
	}
}
