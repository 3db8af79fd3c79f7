package rooms_test

import (
	"context"
	"encoding/json"
	"testing"

	"rempart/core/border"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// wrote is a membership event that a client wrote itself, word by word.
func (r *rig) wrote(t *testing.T, room *rooms.Room, sender, of matrix.UserID, content string) error {
	t.Helper()
	key := string(of)
	_, err := r.rooms.Send(t.Context(), rooms.SendRequest{Room: room, Sender: sender, Type: "m.room.member", StateKey: &key, Content: json.RawMessage(content)})
	return err
}

// A membership is judged by what its event will say, however the client wrote it: with escapes, twice, or in other letters.
func TestMembershipsInOddWords(t *testing.T) {
	const bob = matrix.UserID("@bob:home.example")
	r := newRig(t, sqliteURL(t), nil)
	r.account(t, alice)
	r.account(t, bob)
	room := r.publicRoom(t, "10")
	c := &storage.Change{}
	c.Add(&storage.BlockedRoomRow{BlockedRoom: storage.BlockedRoom{Room: room.ID(), Admin: "@boss:home.example"}})
	if err := r.db.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{`{"membership":"join"}`, `{"membership":"jo\u0069n"}`, `{"member\u0073hip":"join","MEMBERSHIP":"leave"}`} {
		if err := r.wrote(t, room, bob, bob, content); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("a blocked room is entered by %s: %v", content, err)
		}
		if r.member(t, room.ID(), bob) != nil {
			t.Fatalf("a blocked room was entered by %s", content)
		}
	}
	if err := r.wrote(t, room, alice, bob, `{"membership":"invite"}`); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("an invitation into a blocked room: %v", err)
	}

	r.blocksInvites(t, bob)
	open := r.publicRoom(t, "10")
	for _, content := range []string{`{"membership":"invite"}`, `{"membership":"inv\u0069te"}`, `{"membership":"invite","Membership":"ban"}`} {
		if err := r.wrote(t, open, alice, bob, content); !matrix.HasCode(err, matrix.CodeInviteBlocked) {
			t.Errorf("who wants no invitations is invited by %s: %v", content, err)
		}
	}
	_, err := r.rooms.Create(t.Context(), r.caller(t, alice), &rooms.CreateRequest{InitialState: []rooms.InitialState{
		{Type: "m.room.member", StateKey: string(bob), Content: []byte(`{"membership":"invite"}`)}}})
	if !matrix.HasCode(err, matrix.CodeInviteBlocked) {
		t.Errorf("who wants no invitations is invited into a new room: %v", err)
	}
}

// blocksInvites has a user refuse all invitations.
func (r *rig) blocksInvites(t *testing.T, user matrix.UserID) {
	t.Helper()
	nid := r.caller(t, user).UserNID
	c := &storage.Change{}
	live := c.Live(storage.Live{Kind: storage.KindAccountData, User: nid})
	c.Add(&storage.AccountDataRow{At: storage.At{Live: live + 1}, User: nid, Type: "m.invite_permission_config", Content: []byte(`{"default_action":"block"}`)})
	if err := r.db.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// The border between servers of one installation is not crossed by odd words either.
func TestBorderInOddWords(t *testing.T) {
	const far = matrix.UserID("@far:two.example")
	closed := matrix.Forbidden("The border is closed.")
	gate := border.New(border.Options{Servers: []matrix.ServerName{"home.example", "two.example"},
		Judge: func(context.Context, matrix.ServerName, matrix.ServerName, string) error { return closed }})
	r := newRig(t, sqliteURL(t), func(o *rooms.Options) { o.Border = gate })
	r.account(t, alice)
	r.account(t, far)
	room := r.publicRoom(t, "10")
	for _, content := range []string{`{"membership":"join"}`, `{"membership":"join","MEMBERSHIP":"leave"}`, `{"MEMBERSHIP":"leave","membership":"jo\u0069n"}`} {
		if err := r.wrote(t, room, far, far, content); err == nil {
			t.Errorf("the border is crossed by %s", content)
		}
	}
	if err := r.wrote(t, room, alice, far, `{"membership":"invite","MEMBERSHIP":"ban"}`); err == nil {
		t.Error("an invitation crosses the border")
	}
}

// An invitation of a user of another server that a client writes as state goes the way of all others: his server sees it and signs it.
func TestInvitingElsewhereByState(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "10")
	if err := a.wrote(t, room, alice, dora, `{"membership":"invite","displayname":"d"}`); err != nil {
		t.Fatal(err)
	}
	if w.called("invite") != 1 {
		t.Error("the other server was not asked")
	}
	if e := a.member(t, room.ID(), dora); e == nil || len(e.SignatureKeys()) != 2 {
		t.Errorf("the invitation: %v", e)
	}
	if m, err := d.rooms.Standing(t.Context(), d.known(t, room.ID()), dora); err != nil || m.Membership != storage.MemberInvite {
		t.Errorf("dora was not told: %v %v", m.Membership, err)
	}
}
