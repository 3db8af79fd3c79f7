package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-org/gomatrixserverlib"
	"github.com/matrix-org/gomatrixserverlib/spec"
)

// sampleProtos are local events of every kind that a room version treats apart.
func sampleProtos(v *RoomVersion) []Proto {
	room := RoomID("!room:domain")
	prev := []EventID{"$QtpDhnkcSfQgBcBSXjmFh8kZDKPzuwEHNQKe5KNiVCk", "$b2:domain"}
	if v.RoomIDIsCreateHash {
		room = "!QtpDhnkcSfQgBcBSXjmFh8kZDKPzuwEHNQKe5KNiVCk"
	}
	empty, alice := "", "@alice:domain"
	state := func(typ string, key *string, content string) Proto {
		return Proto{RoomID: room, Sender: "@alice:domain", Type: typ, StateKey: key, Content: json.RawMessage(content),
			PrevEvents: prev, AuthEvents: prev[:1], Depth: 7, OriginServerTS: 1700000000123}
	}
	create := state("m.room.create", &empty, `{"creator":"@alice:domain","room_version":"`+v.ID+`","x":1}`)
	create.PrevEvents, create.AuthEvents, create.Depth = nil, nil, 1
	redaction := state("m.room.redaction", nil, `{"redacts":"$target:domain","reason":"\u00e9"}`)
	redaction.Redacts = "$target:domain"
	return []Proto{
		create, redaction,
		state("m.room.message", nil, ` {"msgtype":"m.text", "body":"h\u00e9llo \ud83d\ude00 \"x\"\n", "n":[1,{"b":1,"a":2}]} `),
		state("m.room.encrypted", nil, `{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"AAAA/+","device_id":"D"}`),
		state("m.room.member", &alice, `{"membership":"join","displayname":"A","join_authorised_via_users_server":"@b:domain"}`),
		state("m.room.join_rules", &empty, `{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"!a:b"}]}`),
		state("m.room.power_levels", &empty, `{"users":{"@alice:domain":100},"invite":50,"ban":50,"notifications":{"room":20}}`),
		state("m.room.history_visibility", &empty, `{"history_visibility":"shared","x":true}`),
		state("m.room.aliases", &alice, `{"aliases":["#a:domain"]}`),
		state("org.example.\"odd\"\u0001", &alice, `{}`),
	}
}

// libraryVersion is gomatrixserverlib's view of a room version: the oracle.
func libraryVersion(t testing.TB, v *RoomVersion) gomatrixserverlib.IRoomVersion {
	t.Helper()
	lib, err := gomatrixserverlib.GetRoomVersion(gomatrixserverlib.RoomVersion(v.ID))
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// Every event that Build makes is taken by gomatrixserverlib's own parser, unredacted, under the same id, with a
// valid signature and byte-equal JSON; and so by ours.
func TestBuildAgainstLibrary(t *testing.T) {
	key := testKey(t)
	for _, v := range Versions() {
		lib := libraryVersion(t, v)
		for _, p := range sampleProtos(v) {
			t.Run(fmt.Sprintf("v%s/%s", v.ID, p.Type), func(t *testing.T) {
				e, err := v.Build(p, key)
				if err != nil {
					t.Fatal(err)
				}
				theirs, err := lib.NewEventFromUntrustedJSON(bytes.Clone(e.JSON))
				if err != nil {
					t.Fatalf("library refuses %s: %v", e.JSON, err)
				}
				if theirs.Redacted() {
					t.Errorf("library finds another content hash in %s", e.JSON)
				}
				if err := gomatrixserverlib.CheckFields(theirs); err != nil {
					t.Error(err)
				}
				if got := theirs.EventID(); got != string(e.ID) {
					t.Errorf("library: id %s, ours %s", got, e.ID)
				}
				if !bytes.Equal(theirs.JSON(), e.JSON) {
					t.Errorf("library: %s\nours:    %s", theirs.JSON(), e.JSON)
				}
				if theirs.Redacts() != string(p.Redacts) { // which looks for it outside of the content in all versions
					t.Errorf("library: redacts %q", theirs.Redacts())
				}
				roomID := theirs.RoomID()
				if roomID.String() != string(e.RoomID) {
					t.Errorf("library: room %s, ours %s", roomID.String(), e.RoomID)
				}
				checkLibrarySignature(t, lib, e, key)
				checkReparsed(t, v, e, key)
			})
		}
	}
}

func checkLibrarySignature(t *testing.T, lib gomatrixserverlib.IRoomVersion, e *Event, key SigningKey) {
	t.Helper()
	redacted, err := lib.RedactEventJSON(bytes.Clone(e.JSON))
	if err != nil {
		t.Fatal(err)
	}
	err = gomatrixserverlib.VerifyJSON(string(key.ServerName), gomatrixserverlib.KeyID(key.KeyID), key.Public(), redacted)
	if err != nil {
		t.Errorf("library: %v", err)
	}
	ours, err := e.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if want := gomatrixserverlib.CanonicalJSONAssumeValid(redacted); !bytes.Equal(want, ours.JSON) {
		t.Errorf("redacted by library: %s\nby us:               %s", want, ours.JSON)
	}
	if ours.ID != e.ID {
		t.Errorf("redaction changed the id to %s", ours.ID)
	}
}

// checkReparsed takes the event through our own two parsers.
func checkReparsed(t *testing.T, v *RoomVersion, e *Event, key SigningKey) {
	t.Helper()
	withUnsigned := append(bytes.Clone(e.JSON[:len(e.JSON)-1]), `,"unsigned":{"age":5}}`...)
	peer, err := v.ParseUntrusted(withUnsigned)
	if err != nil {
		t.Fatal(err)
	}
	own, err := v.ParseTrusted(e.ID, bytes.Clone(e.JSON))
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*Event{peer, own} {
		if a, b := describe(e), describe(got); a != b {
			t.Errorf("built:  %s\nparsed: %s", a, b)
		}
	}
	if err := peer.VerifySignature("domain", "ed25519:1", key.Public()); err != nil {
		t.Error(err)
	}
}

// describe prints all fields of an event but the memo.
func describe(e *Event) string {
	key := "none"
	if e.StateKey != nil {
		key = fmt.Sprintf("%q", *e.StateKey)
	}
	return fmt.Sprint(e.ID, e.RoomID, e.Sender, e.Type, key, e.Depth, e.OriginServerTS, len(e.PrevEvents), e.PrevEvents,
		len(e.AuthEvents), e.AuthEvents, e.Redacts, string(e.Content), string(e.JSON), e.Version.ID)
}

// The library's builder, given the same fields, makes the same bytes but for "origin", "prev_state" and what hangs on
// them; so the comparison puts those into neither: fields are compared one by one.
func TestBuildFieldsLikeLibraryBuilder(t *testing.T) {
	key := testKey(t)
	v, _ := Version("11")
	p := sampleProtos(v)[2]
	ours, err := v.Build(p, key)
	if err != nil {
		t.Fatal(err)
	}
	builder := libraryVersion(t, v).NewEventBuilder()
	builder.SenderID, builder.RoomID, builder.Type = string(p.Sender), string(p.RoomID), p.Type
	builder.Content, builder.Depth = spec.RawJSON(ours.Content), p.Depth
	builder.PrevEvents, builder.AuthEvents = plain(p.PrevEvents), plain(p.AuthEvents)
	theirs, err := builder.Build(spec.Timestamp(p.OriginServerTS).Time(), "domain", "ed25519:1", key.Private)
	if err != nil {
		t.Fatal(err)
	}
	strip := func(b []byte) string {
		return string(withoutKeys(nil, b, "origin", "prev_state", "hashes", "signatures"))
	}
	if a, b := strip(theirs.JSON()), strip(ours.JSON); a != b {
		t.Errorf("library: %s\nours:    %s", a, b)
	}
}

func plain(ids []EventID) []string {
	out := []string{}
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

func TestBuildRefuses(t *testing.T) {
	key := testKey(t)
	v, _ := Version("10")
	long := strings.Repeat("x", 256)
	base := func(change func(*Proto)) Proto {
		p := sampleProtos(v)[2]
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		p    Proto
		code string
	}{
		"content is an array":  {base(func(p *Proto) { p.Content = json.RawMessage(`[]`) }), CodeBadJSON},
		"content is no JSON":   {base(func(p *Proto) { p.Content = json.RawMessage(`{`) }), CodeNotJSON},
		"no content":           {base(func(p *Proto) { p.Content = nil }), CodeNotJSON},
		"a float":              {base(func(p *Proto) { p.Content = json.RawMessage(`{"a":1.5}`) }), CodeBadJSON},
		"a large integer":      {base(func(p *Proto) { p.Content = json.RawMessage(`{"a":9007199254740992}`) }), CodeBadJSON},
		"long type":            {base(func(p *Proto) { p.Type = long }), CodeTooLarge},
		"long state key":       {base(func(p *Proto) { p.StateKey = &long }), CodeTooLarge},
		"long sender":          {base(func(p *Proto) { p.Sender = UserID("@" + long + ":a") }), CodeTooLarge},
		"type in bad UTF-8":    {base(func(p *Proto) { p.Type = "a\xff" }), CodeBadJSON},
		"negative depth":       {base(func(p *Proto) { p.Depth = -1 }), CodeBadJSON},
		"more than 65536 byte": {base(func(p *Proto) { p.Content = json.RawMessage(`{"a":"` + strings.Repeat("y", 65400) + `"}`) }), CodeTooLarge},
	} {
		if _, err := v.Build(c.p, key); !HasCode(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if _, err := v.Build(sampleProtos(v)[2], SigningKey{}); err == nil {
		t.Error("built without a key")
	}
	v1, _ := Version("1")
	if _, err := v1.Build(base(func(p *Proto) { p.Content = json.RawMessage(`{"a":1.5}`) }), key); err != nil {
		t.Errorf("room version 1 refuses a float: %v", err)
	}
}

// The largest event that is allowed passes, and one byte more does not. Spec: client-server-api/#size-limits
func TestBuildSizeLimit(t *testing.T) {
	key := testKey(t)
	v, _ := Version("12")
	p := sampleProtos(v)[3]
	p.Content = json.RawMessage(`{"a":""}`)
	small, err := v.Build(p, key)
	if err != nil {
		t.Fatal(err)
	}
	for extra, want := range map[int]bool{MaxEventSize - len(small.JSON): true, MaxEventSize - len(small.JSON) + 1: false} {
		p.Content = json.RawMessage(`{"a":"` + strings.Repeat("z", extra) + `"}`)
		if _, err := v.Build(p, key); (err == nil) != want {
			t.Errorf("%d bytes: %v", len(small.JSON)+extra, err)
		}
	}
}

// What is built takes the room that it needs, and is written where it stays: events are kept in memory by the ten thousand.
func TestBuildTakesNoMoreRoomThanItNeeds(t *testing.T) {
	key := testKey(t)
	hash := func(EventID) []byte { return make([]byte, 32) }
	for _, v := range Versions() {
		for _, p := range sampleProtos(v) {
			p.RefHash = hash
			e, err := v.Build(p, key)
			if err != nil {
				t.Fatal(err)
			}
			if spare := cap(e.JSON) - len(e.JSON); spare > 96 || v.sizeHint(&p, key) < len(e.JSON) {
				t.Errorf("v%s %s: %d bytes in a place of %d", v.ID, p.Type, len(e.JSON), cap(e.JSON))
			}
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	key := testKey(b)
	v, _ := Version("12")
	p := sampleProtos(v)[2]
	p.Content = json.RawMessage(`{"msgtype":"m.text","body":"Hello, this is a message of ordinary length."}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Build(p, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseTrusted(b *testing.B) {
	v, _ := Version("12")
	e, err := v.Build(sampleProtos(v)[2], testKey(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.ParseTrusted(e.ID, e.JSON); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseUntrusted(b *testing.B) {
	v, _ := Version("12")
	e, err := v.Build(sampleProtos(v)[2], testKey(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.ParseUntrusted(e.JSON); err != nil {
			b.Fatal(err)
		}
	}
}
