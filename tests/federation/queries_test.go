package federation

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rempart/core/devices"
	"rempart/federation/client"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// status is the status of a refusal by the other server; 0 when it did not refuse.
func status(err error) int {
	if e, ok := client.AsRemote(err); ok {
		return e.Status
	}
	return 0
}

func TestQueriesOfAnotherServer(t *testing.T) {
	ca := fakenet.NewCA(t)
	s := live.Start(t, live.Options{CA: ca})
	p, ctx, to := newPeer(t, ca, nil), t.Context(), matrix.ServerName(s.Name)
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	user := matrix.UserID(alice.UserID)
	mx.Must(t, alice.Do(ctx, "PUT", "/_matrix/client/v3/profile/"+url.PathEscape(alice.UserID)+"/displayname", map[string]string{"displayname": "Alice"}, nil))
	room, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat", "visibility": "public", "name": "Hall", "room_alias_name": "hall"})
	mx.Must(t, err)

	name, version, err := p.Version(ctx, to)
	if err != nil || name != "Rempart" || version == "" {
		t.Errorf("version: %s %s %v", name, version, err)
	}
	profile, err := p.QueryProfile(ctx, p.name, to, user, "displayname")
	if err != nil || string(profile) != `{"displayname":"Alice"}` {
		t.Errorf("profile: %s %v", profile, err)
	}
	if _, err := p.QueryProfile(ctx, p.name, to, "@nobody:"+matrix.UserID(to), ""); status(err) != 404 {
		t.Errorf("profile of nobody: %v", err)
	}
	got, servers, err := p.QueryDirectory(ctx, p.name, to, matrix.RoomAlias("#hall:"+s.Name))
	if err != nil || string(got) != room || len(servers) != 1 || servers[0] != to {
		t.Errorf("alias: %s %v %v", got, servers, err)
	}
	rooms, err := p.PublicRooms(ctx, p.name, to, []byte(`{"filter":{"generic_search_term":"HALL"}}`))
	if err != nil || !strings.Contains(string(rooms), room) {
		t.Errorf("directory: %s %v", rooms, err)
	}
	if rooms, err = p.PublicRooms(ctx, p.name, to, []byte(`{"filter":{"generic_search_term":"cellar"}}`)); err != nil || strings.Contains(string(rooms), room) {
		t.Errorf("the directory ignores the term: %s %v", rooms, err)
	}
	tree, err := p.Hierarchy(ctx, p.name, to, matrix.RoomID(room), false)
	if err != nil || !strings.Contains(string(tree), `"name":"Hall"`) {
		t.Errorf("hierarchy: %s %v", tree, err)
	}
	if p.calls() != 1 {
		t.Errorf("our keys were fetched %d times", p.calls())
	}
}

func TestDevicesForAnotherServer(t *testing.T) {
	ca := fakenet.NewCA(t)
	s := live.Start(t, live.Options{CA: ca})
	p, ctx, to := newPeer(t, ca, nil), t.Context(), matrix.ServerName(s.Name)
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	user, device := alice.UserID, alice.DeviceID
	mx.Must(t, alice.Do(ctx, "PUT", "/_matrix/client/v3/devices/"+device, map[string]string{"display_name": "Alice's telephone"}, nil))
	mx.Must(t, alice.Do(ctx, "POST", "/_matrix/client/v3/keys/upload", map[string]any{
		"device_keys": map[string]any{"user_id": user, "device_id": device, "algorithms": []string{"m.olm.v1.curve25519-aes-sha2"},
			"keys": map[string]string{"ed25519:" + device: "c2lnbmluZw"}, "signatures": map[string]any{user: map[string]string{"ed25519:" + device: "c2ln"}}},
		"one_time_keys": map[string]any{"signed_curve25519:AAA": map[string]any{"key": "b25l", "signatures": map[string]any{user: map[string]string{"ed25519:" + device: "c2ln"}}}},
	}, nil))

	whole, err := p.UserDevices(ctx, p.name, to, matrix.UserID(user))
	mx.Must(t, err)
	var list devices.ServedList
	mx.Must(t, json.Unmarshal(whole, &list))
	if len(list.Devices) != 1 || string(list.Devices[0].ID) != device || !strings.Contains(string(list.Devices[0].Keys), "c2lnbmluZw") || list.StreamID == 0 {
		t.Errorf("devices: %+v", list)
	}
	if strings.Contains(string(whole), "telephone") {
		t.Errorf("others are told what devices are called: %s", whole)
	}
	asked, _ := json.Marshal(map[string]any{"device_keys": map[string]any{user: []string{}, "@x:elsewhere.org": []string{}}})
	found, err := p.QueryKeys(ctx, p.name, to, asked)
	if err != nil || !strings.Contains(string(found), "c2lnbmluZw") || strings.Contains(string(found), "elsewhere") {
		t.Errorf("keys: %s %v", found, err)
	}
	want, _ := json.Marshal(map[string]any{"one_time_keys": map[string]any{user: map[string]string{device: "signed_curve25519"}}})
	for i, has := range []bool{true, false} {
		claimed, err := p.ClaimKeys(ctx, p.name, to, want)
		if err != nil || strings.Contains(string(claimed), "b25l") != has {
			t.Errorf("claim %d: %s %v", i, claimed, err)
		}
	}
}

func TestServersOutsideARoomReadNothingOfIt(t *testing.T) {
	ca := fakenet.NewCA(t)
	s := live.Start(t, live.Options{CA: ca})
	p, ctx, to := newPeer(t, ca, nil), t.Context(), matrix.ServerName(s.Name)
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	room, err := alice.CreateRoom(ctx, map[string]any{"preset": "private_chat"})
	mx.Must(t, err)
	sent, err := alice.Send(ctx, room, "1", "between us")
	mx.Must(t, err)
	id, event := matrix.RoomID(room), matrix.EventID(sent)
	_, err1 := p.Event(ctx, p.name, to, event)
	err2 := p.State(ctx, p.name, to, id, event, nil)
	_, err3 := p.StateIDs(ctx, p.name, to, id, event)
	err4 := p.EventAuth(ctx, p.name, to, id, event, nil)
	_, err5 := p.Backfill(ctx, p.name, to, id, []matrix.EventID{event}, 10)
	_, err6 := p.GetMissingEvents(ctx, p.name, to, id, client.Missing{Latest: []matrix.EventID{event}})
	_, _, err7 := p.TimestampToEvent(ctx, p.name, to, id, 0, false)
	_, err8 := p.Hierarchy(ctx, p.name, to, id, false)
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
		if code := status(err); code != 403 && code != 404 {
			t.Errorf("request %d: %v", i+1, err)
		}
	}
}

// A server whose requests are signed by somebody else is nobody, whoever it says it is.
func TestLiars(t *testing.T) {
	ca := fakenet.NewCA(t)
	s := live.Start(t, live.Options{CA: ca})
	honest, liar := newPeer(t, ca, nil), newPeer(t, ca, nil)
	ctx, to := t.Context(), matrix.ServerName(s.Name)
	liar.key.KeyID = honest.key.KeyID
	user := matrix.UserID("@nobody:" + s.Name)
	for name, from := range map[string]matrix.ServerName{"another server": honest.name, "itself": to, "a server that is not there": "127.0.0.1:1"} {
		if _, err := liar.QueryProfile(ctx, from, to, user, ""); status(err) != http.StatusUnauthorized {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if _, err := honest.QueryProfile(ctx, honest.name, to, user, ""); status(err) != 404 {
		t.Errorf("an honest server: %v", err)
	}
}

func TestClosedByDefault(t *testing.T) {
	ca := fakenet.NewCA(t)
	friend, stranger := newPeer(t, ca, nil), newPeer(t, ca, nil)
	for name, c := range map[string]struct {
		federation       string
		friend, stranger int
	}{
		"nobody is allowed":            {"  ca: ca.pem\n", 403, 403},
		"one is":                       {"  ca: ca.pem\n  allow_private: true\n  allow: [\"" + string(friend.name) + "\"]\n", 404, 403},
		"but not at private addresses": {"  ca: ca.pem\n  allow: [\"*\"]\n", 401, 401}, // the keys cannot be fetched
		"nor of other authorities":     {"  allow_private: true\n  allow: [\"*\"]\n", 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			before := stranger.calls()
			s := live.Start(t, live.Options{CA: ca, Extra: "federation:\n" + c.federation})
			user := matrix.UserID("@nobody:" + s.Name)
			for p, want := range map[*peer]int{friend: c.friend, stranger: c.stranger} {
				if _, err := p.QueryProfile(t.Context(), p.name, matrix.ServerName(s.Name), user, ""); status(err) != want {
					t.Errorf("%s: %v", p.name, err)
				}
			}
			if stranger.calls() != before {
				t.Error("the server spoke to a stranger")
			}
		})
	}
}
