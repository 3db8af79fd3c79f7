package rooms_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"rempart/core/border"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// What a membership of one of our servers needs of another one bears both signatures, or other servers would not take it.
func TestMembershipsBetweenOurServersBearBothSignatures(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		const far, farther = matrix.UserID("@far:two.example"), matrix.UserID("@farther:two.example")
		gate := border.New(border.Options{Servers: []matrix.ServerName{"home.example", "two.example"},
			Judge: func(context.Context, matrix.ServerName, matrix.ServerName, string) error { return nil }})
		r := newRig(t, url, func(o *rooms.Options) { o.Border = gate })
		signers := func(room *rooms.Room, user matrix.UserID) []matrix.ServerName {
			t.Helper()
			e := r.member(t, room.ID(), user)
			if e == nil {
				t.Fatalf("%s is not there", user)
			}
			return slices.Sorted(maps.Keys(e.SignatureKeys()))
		}
		r.account(t, alice) // whose right to invite lets others in
		both := []matrix.ServerName{"home.example", "two.example"}
		hall := r.publicRoom(t, "10")
		if err := r.rooms.Invite(t.Context(), rooms.MembershipChange{Room: hall, Sender: alice, Target: far}); err != nil {
			t.Fatal(err)
		}
		if got := signers(hall, far); !slices.Equal(got, both) {
			t.Errorf("an invitation is signed by %v", got)
		}
		if err := r.rooms.Join(t.Context(), rooms.MembershipChange{Room: hall, Sender: far, Target: far}); err != nil {
			t.Fatal(err)
		}
		if got := signers(hall, far); !slices.Equal(got, both[1:]) {
			t.Errorf("a join is signed by %v", got)
		}
		inner := r.publicRoom(t, "10")
		rule, err := json.Marshal(map[string]any{"join_rule": "restricted", "allow": []any{map[string]any{"type": "m.room_membership", "room_id": hall.ID()}}})
		if err != nil {
			t.Fatal(err)
		}
		empty := ""
		r.must(t, inner, rooms.Draft{Sender: alice, Type: "m.room.join_rules", StateKey: &empty, Content: rule})
		if err := r.rooms.Join(t.Context(), rooms.MembershipChange{Room: inner, Sender: far, Target: far}); err != nil {
			t.Fatal(err)
		}
		if got := signers(inner, far); !slices.Equal(got, both) {
			t.Errorf("a restricted join is signed by %v", got)
		}
		if r.rooms.Join(t.Context(), rooms.MembershipChange{Room: inner, Sender: farther, Target: farther}) == nil {
			t.Error("who is not in the other room enters")
		}
	})
}
