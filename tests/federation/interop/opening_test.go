package interop

import (
	"encoding/json"
	"net/url"
	"testing"
)

// openingState looks at what a person's sync tells of a room that he has just come into from another server: all of its state.
func openingState(t *testing.T, version string, host, guest *side) {
	alice := host.newPerson(t, "alice")
	room := alice.creates(t, version, map[string]any{"name": "Hall", "topic": "what was before"})
	late, early, lazy := guest.newPerson(t, "late"), guest.newPerson(t, "early"), guest.newPerson(t, "lazy")
	early.until(t, "a token", func() bool { return early.since != "" })
	for _, p := range []*person{early, late, lazy} {
		p.joins(t, room, host)
	}
	want := map[string]int{"m.room.create": 1, "m.room.power_levels": 1, "m.room.join_rules": 1, "m.room.history_visibility": 1,
		"m.room.name": 1, "m.room.topic": 1}
	for _, p := range []*person{early, late} {
		p.sees(t, room, p, "join")
		p.sees(t, room, alice, "join")
		count := map[string]int{}
		for _, raw := range p.of(room).events {
			var e struct {
				ID   string `json:"event_id"`
				Type string
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			count[e.Type]++
			if count[e.ID]++; count[e.ID] == 2 && e.ID != "" {
				t.Errorf("%s is given %s twice: %s", p.UserID, e.Type, raw)
			}
		}
		for typ, n := range want {
			if count[typ] != n {
				t.Errorf("%s is given %d %s", p.UserID, count[typ], typ)
			}
		}
	}
	var s struct {
		Rooms struct {
			Join map[string]struct {
				State struct {
					Events []struct {
						Type string
						Key  string `json:"state_key"`
					}
				}
			}
		}
	}
	lazy.call(t, "GET", "/sync?filter="+url.QueryEscape(`{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":1}}}`), nil, &s)
	found := map[string]bool{}
	for _, e := range s.Rooms.Join[room].State.Events {
		found[e.Type] = true
	}
	for typ := range want {
		if !found[typ] {
			t.Errorf("no %s for who loads members lazily", typ)
		}
	}
}
