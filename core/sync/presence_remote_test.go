package sync_test

import (
	"encoding/json"
	"strings"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// Who syncs for the first time learns who of other servers is there: of those in his rooms, and until they go.
func TestFirstSyncHasRemotePresence(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, carol := r.user("alice"), r.user("carol")
		room := alice.public()
		for _, name := range []string{"dora", "erik"} {
			far := &client{rig: r, caller: alice.caller}
			far.caller.User = matrix.UserID("@" + matrixID(name))
			if err := r.rooms.Join(ctx, rooms.MembershipChange{Room: room, Sender: far.id(), Target: far.id()}); err != nil {
				t.Fatal(err)
			}
		}
		tell := func(name, state string) {
			raw, _ := json.Marshal(object{"push": []object{{"user_id": "@" + matrixID(name), "presence": state, "last_active_ago": 5}}})
			if err := r.sync.HandlePresence(ctx, "there.example", raw); err != nil {
				t.Fatal(err)
			}
		}
		tell("dora", "online")
		for range 3000 { // more changes than are remembered
			tell("erik", "online")
			tell("erik", "offline")
		}
		seen := func(c *client) string {
			c.since = ""
			var who []string
			for _, e := range c.next().Presence.Events {
				if strings.HasSuffix(string(e.Sender), ":there.example") && e.Content["presence"] == "online" {
					who = append(who, string(e.Sender))
				}
			}
			return strings.Join(who, " ")
		}
		if got := seen(alice); got != "@dora:there.example" {
			t.Errorf("alice sees %q", got)
		}
		if got := seen(carol); got != "" {
			t.Errorf("carol, who is not in the room, sees %q", got)
		}
	})
}

func matrixID(name string) string { return name + ":there.example" }
