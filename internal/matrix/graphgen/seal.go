package graphgen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/internal/matrix/stateres/naive"
)

// send makes an event of a draft and gives it to the room.
func (g *generator) send(prev []matrix.EventID, sender matrix.UserID, d draft) {
	content, err := json.Marshal(d.content)
	if err != nil {
		panic(err)
	}
	fields := object{
		"type": d.typ, "sender": string(sender), "content": json.RawMessage(content),
		"depth": g.depth(prev), "origin_server_ts": g.time(),
		"prev_events": g.refs(prev), "auth_events": g.refs(g.authFor(prev, sender, d, content)),
	}
	if d.key != nil {
		fields["state_key"] = *d.key
	}
	if len(g.Events) > 0 {
		fields["room_id"] = string(g.Events[0].RoomID)
	} else if !g.Version.RoomIDIsCreateHash {
		fields["room_id"] = "!" + g.o.Room + ":" + string(sender.Server())
	}
	if d.redacts != "" && !g.Version.RedactsInContent {
		fields["redacts"] = string(d.redacts)
	}
	e, err := g.seal(fields)
	if err == nil && !g.o.Unsigned {
		e, err = g.sign(e, sender, d)
	}
	if err != nil {
		panic(fmt.Errorf("graphgen: %s of %s: %w", d.typ, sender, err))
	}
	if g.Room.Events[e.ID] != nil {
		return // the very same event again
	}
	g.Events = append(g.Events, e)
	g.Room.Add(e)
}

// seal adds the content hash and finds the event's id.
func (g *generator) seal(fields object) (*matrix.Event, error) {
	id := matrix.EventID(fmt.Sprintf("$%s-%d-%d:%s", g.o.Room, len(g.Events), g.r.IntN(1000), matrix.UserID(fields["sender"].(string)).Server()))
	if g.Version.EventIDFormat == matrix.EventIDDomain {
		fields["event_id"] = string(id)
	}
	raw, err := canonical(fields)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(raw)
	fields["hashes"] = object{"sha256": base64.RawStdEncoding.EncodeToString(hash[:])}
	if raw, err = canonical(fields); err != nil {
		return nil, err
	}
	if g.Version.EventIDFormat != matrix.EventIDDomain {
		e, err := g.Version.ParseTrusted("", raw)
		if err != nil {
			return nil, err
		}
		id = g.hashID(e)
	}
	return g.Version.ParseTrusted(id, raw)
}

func (g *generator) hashID(e *matrix.Event) matrix.EventID {
	hash := e.ReferenceHash()
	if g.Version.EventIDFormat == matrix.EventIDBase64 {
		return matrix.EventID("$" + base64.RawStdEncoding.EncodeToString(hash[:]))
	}
	return matrix.EventID("$" + base64.RawURLEncoding.EncodeToString(hash[:]))
}

func canonical(fields object) ([]byte, error) {
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return matrix.CanonicalJSON(raw)
}

// sign adds the signatures that the event needs.
func (g *generator) sign(e *matrix.Event, sender matrix.UserID, d draft) (*matrix.Event, error) {
	servers := []matrix.ServerName{sender.Server()}
	if via, ok := d.content["join_authorised_via_users_server"].(string); ok {
		servers = append(servers, matrix.UserID(via).Server())
	}
	var err error
	for _, s := range servers {
		if e, err = e.Sign(g.Keys[s]); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// refs writes a list of events as the room version does.
func (g *generator) refs(ids []matrix.EventID) any {
	if !g.Version.RefsWithHashes() {
		list := make([]string, 0, len(ids))
		for _, id := range ids {
			list = append(list, string(id))
		}
		return list
	}
	list := make([]any, 0, len(ids))
	for _, id := range ids {
		hash := g.Room.Events[id].ReferenceHash()
		list = append(list, []any{string(id), object{"sha256": base64.RawStdEncoding.EncodeToString(hash[:])}})
	}
	return list
}

// depth is one more than the deepest parent's; some servers lie.
func (g *generator) depth(prev []matrix.EventID) int64 {
	depth := int64(1)
	for _, p := range prev {
		depth = max(depth, g.Room.Events[p].Depth+1)
	}
	if len(prev) > 0 && !g.o.Tame && g.chance(4) {
		depth += int64(g.r.IntN(7)) - 3
	}
	return max(depth, 1)
}

// time mostly goes on, sometimes stands still or goes back.
func (g *generator) time() int64 {
	g.ts += int64(g.r.IntN(3)) * 500
	if !g.o.Tame && g.chance(10) {
		return g.ts - int64(g.r.IntN(10))*500
	}
	return g.ts
}

// authFor selects auth events from the state before; some servers know an old state or choose badly.
func (g *generator) authFor(prev []matrix.EventID, sender matrix.UserID, d draft, content json.RawMessage) []matrix.EventID {
	state := g.Room.StateAfter(prev)
	if !g.o.Tame && len(g.Events) > 4 && g.chance(8) {
		state = g.Room.After[g.Events[g.r.IntN(len(g.Events))].ID]
	}
	var ids []matrix.EventID
	for _, t := range authrules.NeededAuthTypes(sender, d.typ, d.key, content, g.Version) {
		if id := state[t]; id != "" {
			ids = append(ids, id)
		}
	}
	if g.o.Tame || len(g.Events) < 4 {
		return ids
	}
	return g.spoil(ids, state)
}

// spoil now and then drops a needed auth event or adds one of no use.
func (g *generator) spoil(ids []matrix.EventID, state naive.State) []matrix.EventID {
	switch {
	case len(ids) > 0 && g.chance(2):
		return append(ids[:0:0], ids[1:]...)
	case g.chance(2):
		if topic := state[matrix.StateTuple{Type: "m.room.topic"}]; topic != "" {
			return append(ids, topic)
		}
	case g.chance(1):
		return append(ids, g.recent().ID)
	}
	return ids
}
