package appservices

import (
	"context"
	"net/url"
	"slices"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// TestWhatAServiceIsTold checks what follows from a registration: rooms with its users, invitations of them, nothing else; typing,
// receipts, presence; messages for its devices, changed device lists, counts of keys.
func TestWhatAServiceIsTold(t *testing.T) { engines(t, whatAServiceIsTold) }

func whatAServiceIsTold(t *testing.T, o live.Options) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*mx.Patience)
	defer cancel()
	f := newFake(t)
	s := live.Start(t, withService(t, o, f.URL, "receive_ephemeral: true\norg.matrix.msc3202: true\n"))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	mx.Must(t, registerGhost(ctx, s, "_bridge_bob"))
	bob := "@_bridge_bob:localhost"
	private, err := alice.CreateRoom(ctx, map[string]any{})
	mx.Must(t, err)
	_, err = alice.Send(ctx, private, "a", "for nobody's ears")
	mx.Must(t, err)
	id, err := alice.CreateRoom(ctx, map[string]any{"invite": []string{bob}})
	mx.Must(t, err)
	_, err = alice.Send(ctx, id, "b", "before he joins")
	mx.Must(t, err)
	mx.Must(t, as(ctx, s, bob, "POST", v3+"/join/"+url.PathEscape(id), map[string]any{}, nil))
	heard, err := alice.Send(ctx, id, "c", "to bob")
	mx.Must(t, err)

	at := v3 + "/rooms/" + url.PathEscape(id)
	mx.Must(t, alice.Do(ctx, "PUT", at+"/typing/"+alice.UserID, map[string]any{"typing": true, "timeout": 20000}, nil))
	mx.Must(t, alice.Do(ctx, "POST", at+"/receipt/m.read/"+url.PathEscape(heard), map[string]any{}, nil))
	mx.Must(t, alice.Do(ctx, "POST", at+"/receipt/m.read.private/"+url.PathEscape(heard), map[string]any{}, nil))
	_, err = alice.Sync(ctx, "", 0)
	mx.Must(t, err)
	mx.Must(t, alice.Do(ctx, "PUT", v3+"/presence/"+alice.UserID+"/status", map[string]any{"presence": "unavailable"}, nil))

	mx.Must(t, as(ctx, s, bob, "PUT", v3+"/devices/GHOST", map[string]any{}, nil))
	mx.Must(t, as(ctx, s, bob, "POST", v3+"/keys/upload?device_id=GHOST", map[string]any{
		"one_time_keys": map[string]any{"signed_curve25519:AAAA": map[string]any{"key": "a"}}}, nil))
	mx.Must(t, alice.Do(ctx, "PUT", v3+"/sendToDevice/m.test/x", map[string]any{"messages": map[string]any{
		bob: map[string]any{"*": map[string]any{"secret": 1}}}}, nil))
	mx.Must(t, alice.Do(ctx, "PUT", v3+"/devices/"+alice.DeviceID, map[string]any{"display_name": "renamed"}, nil))

	has := func(part, key, value string) func() bool {
		return func() bool {
			return slices.ContainsFunc(f.part(part), func(e map[string]any) bool { return e[key] == value })
		}
	}
	until(ctx, t, "the message came", has("events", "event_id", heard))
	for _, typ := range []string{"m.typing", "m.receipt", "m.presence"} {
		until(ctx, t, typ+" came", has("ephemeral", "type", typ))
	}
	until(ctx, t, "the message for the device came", has("de.sorunome.msc2409.to_device", "to_device_id", "GHOST"))
	until(ctx, t, "the count of keys came", func() bool {
		users, _ := f.object("org.matrix.msc3202.device_one_time_keys_count")[bob].(map[string]any)
		device, _ := users["GHOST"].(map[string]any)
		return device["signed_curve25519"] == 1.0
	})
	until(ctx, t, "the changed device list came", func() bool {
		changed, _ := f.object("org.matrix.msc3202.device_lists")["changed"].([]any)
		return slices.Contains(changed, any(alice.UserID))
	})
	checkTold(t, f, id)
}

// checkTold checks that nothing came that the service does not follow.
func checkTold(t *testing.T, f *fake, id string) {
	t.Helper()
	invited := false
	for _, e := range f.part("events") {
		content, _ := e["content"].(map[string]any)
		invited = invited || content["membership"] == "invite"
		if e["room_id"] != id && e["sender"] == "@alice:localhost" {
			t.Errorf("told of a room that no user of its is in: %v", e)
		}
		if content["body"] == "before he joins" {
			t.Errorf("told of what came before one of its users was in: %v", e)
		}
	}
	if !invited {
		t.Error("not told of the invitation")
	}
	for _, e := range f.part("ephemeral") {
		if e["type"] != "m.receipt" {
			continue
		}
		for _, types := range e["content"].(map[string]any) {
			if _, private := types.(map[string]any)["m.read.private"]; private {
				t.Errorf("told of a private receipt: %v", e)
			}
		}
	}
}
