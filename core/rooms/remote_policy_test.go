package rooms_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// A room names alice's server as its policy server: that signs what dora says there, by a key of its own, and nothing that should not be.
func TestRecommendEvent(t *testing.T) {
	w := &wire{}
	a := w.serverFederated(t, home)
	d := w.server(t, there, sqliteURL(t))
	a.account(t, alice)
	d.account(t, dora)
	room, other := a.publicRoom(t, "11"), a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	d.enters(t, rooms.Entry{Room: other.ID(), User: dora, Via: []matrix.ServerName{home}})
	key := a.rooms.PolicyKey(home)
	policy := a.must(t, room, state(alice, "m.room.policy", "", object{"via": string(home), "public_keys": object{"ed25519": key}}))[0]
	said := d.must(t, d.known(t, room.ID()), text(dora, "hello"))[0]
	ask := func(e *matrix.Event) (string, error) {
		signed, err := a.rooms.RecommendEvent(t.Context(), there, home, json.RawMessage(e.JSON))
		return signed[home]["ed25519:policy_server"], err
	}
	sig, err := ask(said.Event)
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := base64.RawStdEncoding.DecodeString(key)
	if err := matrix.VerifyJSON(withSignature(t, said.Event, sig), home, "ed25519:policy_server", ed25519.PublicKey(pub)); err != nil {
		t.Errorf("the signature: %v", err)
	}
	own := w.keys[home].Private.Public().(ed25519.PublicKey)
	if string(own) == string(pub) {
		t.Error("it signs with the key by which it speaks for its users")
	}
	elsewhere := d.must(t, d.known(t, other.ID()), text(dora, "here too"))[0]
	if _, err := ask(elsewhere.Event); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Errorf("in a room that names no policy server: %v", err)
	}
	if _, err := ask(policy.Event); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("the choice of the policy server itself: %v", err)
	}
	v, _ := matrix.Version("11")
	forged, err := v.Build(matrix.Proto{RoomID: room.ID(), Sender: alice, Type: "m.room.message", Content: []byte(`{"body":"x"}`),
		PrevEvents: []matrix.EventID{policy.ID}, AuthEvents: []matrix.EventID{policy.ID}, Depth: 99, OriginServerTS: 1}, w.keys[there])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(forged); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("an event that its server did not sign: %v", err)
	}
}

// withSignature is the redacted event with one signature.
func withSignature(t *testing.T, e *matrix.Event, sig string) []byte {
	t.Helper()
	r, err := e.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(r.JSON, &body); err != nil {
		t.Fatal(err)
	}
	body["signatures"] = object{string(home): object{"ed25519:policy_server": sig}}
	delete(body, "unsigned")
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// serverFederated adds a server that tells others what happens in its rooms.
func (w *wire) serverFederated(t testing.TB, name matrix.ServerName) *rig {
	t.Helper()
	key, err := matrix.GenerateSigningKey(name)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, sqliteURL(t), func(o *rooms.Options) { o.Keys, o.Peers, o.Federated, o.Server = own{key}, w, true, name })
	if w.rigs == nil {
		w.rigs, w.keys, w.down = map[matrix.ServerName]*rig{}, map[matrix.ServerName]matrix.SigningKey{}, map[matrix.ServerName]bool{}
	}
	w.rigs[name], w.keys[name] = r, key
	return r
}

// An invitation by an address becomes one of the user whose address it is, with the proof of who vouches for addresses, and only then.
func TestExchangeThirdParty(t *testing.T) {
	_, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	a.must(t, room, state(alice, "m.room.join_rules", "", object{"join_rule": "invite"}))
	vouches, err := matrix.GenerateSigningKey("id.example")
	if err != nil {
		t.Fatal(err)
	}
	pub := base64.RawStdEncoding.EncodeToString(vouches.Private.Public().(ed25519.PublicKey))
	a.must(t, room, state(alice, "m.room.third_party_invite", "token", object{"display_name": "d…", "public_key": pub,
		"key_validity_url": "https://id.example/valid", "public_keys": []object{{"public_key": pub}}}))
	exchange := func(user matrix.UserID, token string, key matrix.SigningKey) error {
		raw, _ := json.Marshal(object{"mxid": string(user), "token": token})
		signed, err := matrix.SignJSON(raw, key)
		if err != nil {
			t.Fatal(err)
		}
		invite, _ := json.Marshal(object{"display_name": "d…", "signed": json.RawMessage(signed)})
		x := rooms.ThirdPartyExchange{Type: "m.room.member", RoomID: room.ID(), Sender: alice, StateKey: user}
		x.Content.Membership, x.Content.Invite = "invite", invite
		return a.rooms.ExchangeThirdParty(t.Context(), there, room.ID(), &x)
	}
	stranger, err := matrix.GenerateSigningKey("id.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := exchange(dora, "token", stranger); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("vouched for by nobody: %v", err)
	}
	if err := exchange(dora, "another", vouches); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("an invitation that there is not: %v", err)
	}
	if err := exchange("@x:elsewhere.example", "token", vouches); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("for a user of another server than asks: %v", err)
	}
	if err := exchange(dora, "token", vouches); err != nil {
		t.Fatal(err)
	}
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora})
	if got := a.stateOf(t, room.ID()); got[matrix.StateTuple{Type: "m.room.member", Key: string(dora)}] == "" {
		t.Error("dora did not get in")
	}
}
