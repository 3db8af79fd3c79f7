package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// remote makes an event as a peer would and lets the test change its members before it is hashed and signed.
func remote(t testing.TB, v *RoomVersion, change map[string]string) []byte {
	t.Helper()
	fields := map[string]json.RawMessage{}
	for k, value := range map[string]string{
		"auth_events": `[]`, "content": `{"body":"x"}`, "depth": `1`, "origin_server_ts": `1`, "prev_events": `[]`,
		"room_id": `"!a:b"`, "sender": `"@a:domain"`, "type": `"m.room.message"`,
	} {
		fields[k] = json.RawMessage(value)
	}
	if v.EventIDFormat == EventIDDomain {
		fields["event_id"] = json.RawMessage(`"$e:domain"`)
	}
	if v.RoomIDIsCreateHash {
		fields["room_id"] = json.RawMessage(`"!abc"`)
	}
	for k, value := range change {
		if fields[k] = json.RawMessage(value); value == "" {
			delete(fields, k)
		}
	}
	return signRemote(t, v, marshal(t, fields))
}

// signRemote hashes and signs by the specification's steps, apart from Build.
func signRemote(t testing.TB, v *RoomVersion, raw []byte) []byte {
	t.Helper()
	lib := libraryVersion(t, v)
	event, err := CanonicalJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	if find(event, "hashes") == nil {
		sum := sha256Base64(withoutKeys(nil, event, "hashes", "signatures", "unsigned"))
		event = setMember(event, []byte(`"hashes"`), []byte(`{"sha256":"`+sum+`"}`))
	}
	redacted, err := lib.RedactEventJSON(event)
	if err != nil {
		return event // not an event for the library; the test wants it refused
	}
	signed, err := SignJSON(redacted, testKey(t))
	if err != nil {
		return event
	}
	if find(event, "signatures") == nil {
		event = setMember(event, []byte(`"signatures"`), find(signed, "signatures"))
	}
	return event
}

func TestParseUntrustedRefuses(t *testing.T) {
	long := strings.Repeat("x", 256)
	refs := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`"$a",`, n), ",") + "]"
	}
	for name, c := range map[string]struct {
		change map[string]string
		code   string            // empty: accepted
		others map[string]string // for some versions
	}{
		"a plain event":                {nil, "", nil},
		"no type":                      {map[string]string{"type": ""}, CodeBadJSON, nil},
		"type is a number":             {map[string]string{"type": "1"}, CodeBadJSON, nil},
		"no sender":                    {map[string]string{"sender": ""}, CodeBadJSON, nil},
		"sender without server":        {map[string]string{"sender": `"@a"`}, CodeBadJSON, nil},
		"sender is empty before colon": {map[string]string{"sender": `"@:domain"`}, "", nil},
		"sender of odd letters":        {map[string]string{"sender": `"@É !:domain"`}, "", nil},
		"long sender":                  {map[string]string{"sender": `"@` + long + `:b"`}, CodeBadJSON, nil},
		"no room":                      {map[string]string{"room_id": ""}, CodeBadJSON, nil},
		"room without server":          {map[string]string{"room_id": `"!abc"`}, CodeBadJSON, map[string]string{"12-12": ""}},
		"room with server":             {map[string]string{"room_id": `"!a:b"`}, "", map[string]string{"12-12": CodeBadJSON}},
		"no content":                   {map[string]string{"content": ""}, CodeBadJSON, nil},
		"content is an array":          {map[string]string{"content": "[]"}, CodeBadJSON, nil},
		"content is null":              {map[string]string{"content": "null"}, CodeBadJSON, nil},
		"a float in content":           {map[string]string{"content": `{"a":1.5}`}, CodeBadJSON, map[string]string{"1-5": ""}},
		"a huge integer in content":    {map[string]string{"content": `{"a":9007199254740992}`}, CodeBadJSON, map[string]string{"1-5": ""}},
		"no depth":                     {map[string]string{"depth": ""}, CodeBadJSON, nil},
		"negative depth":               {map[string]string{"depth": "-1"}, CodeBadJSON, nil},
		"depth of 2^53":                {map[string]string{"depth": "9007199254740992"}, CodeBadJSON, map[string]string{"1-5": ""}},
		"depth is text":                {map[string]string{"depth": `"1"`}, CodeBadJSON, nil},
		"no time":                      {map[string]string{"origin_server_ts": ""}, CodeBadJSON, nil},
		"no prev_events":               {map[string]string{"prev_events": ""}, CodeBadJSON, nil},
		"prev_events of numbers":       {map[string]string{"prev_events": "[1]"}, CodeBadJSON, nil},
		"prev_events of no ids":        {map[string]string{"prev_events": `["x"]`}, CodeBadJSON, nil},
		"20 prev_events":               {map[string]string{"prev_events": refs(20)}, "", map[string]string{"1-2": CodeBadJSON}},
		"21 prev_events":               {map[string]string{"prev_events": refs(21)}, CodeBadJSON, nil},
		"10 auth_events":               {map[string]string{"auth_events": refs(10)}, "", map[string]string{"1-2": CodeBadJSON}},
		"11 auth_events":               {map[string]string{"auth_events": refs(11)}, CodeBadJSON, nil},
		"state key is a number":        {map[string]string{"state_key": "1"}, CodeBadJSON, nil},
		"long state key":               {map[string]string{"state_key": `"` + long + `"`}, CodeTooLarge, nil},
		"long type":                    {map[string]string{"type": `"` + long + `"`}, CodeTooLarge, nil},
		"long event":                   {map[string]string{"content": `{"a":"` + strings.Repeat("x", 65536) + `"}`}, CodeTooLarge, nil},
		"hashes is text":               {map[string]string{"hashes": `"x"`}, CodeBadJSON, nil},
		"signatures is an array":       {map[string]string{"signatures": `[]`}, CodeBadJSON, nil},
		"a signature is a number":      {map[string]string{"signatures": `{"a":{"ed25519:1":1}}`}, CodeBadJSON, nil},
		"create event with a room":     {map[string]string{"type": `"m.room.create"`, "state_key": `""`}, "", map[string]string{"12-12": CodeBadJSON}},
		"create event without a room":  {map[string]string{"type": `"m.room.create"`, "state_key": `""`, "room_id": ""}, CodeBadJSON, map[string]string{"12-12": ""}},
	} {
		for _, v := range Versions() {
			want := c.code
			for span, other := range c.others {
				if inSpan(t, v, span) {
					want = other
				}
			}
			_, err := v.ParseUntrusted(remote(t, v, c.change))
			if (err == nil) != (want == "") || want != "" && !HasCode(err, want) {
				t.Errorf("version %s, %s: %v, want %q", v.ID, name, err, want)
			}
		}
	}
}

func TestParseUntrustedJSON(t *testing.T) {
	for _, v := range Versions() {
		good := string(remote(t, v, nil))
		for name, bad := range map[string]string{
			"cut":              good[:len(good)-1],
			"an array":         "[" + good + "]",
			"text behind":      good + "{}",
			"invalid UTF-8":    strings.Replace(good, `"body":"x"`, "\"body\":\"\xff\"", 1),
			"lone surrogate":   strings.Replace(good, `"body":"x"`, `"body":"\ud800"`, 1),
			"huge, white only": good + strings.Repeat(" ", maxUntrustedSize),
		} {
			if e, err := v.ParseUntrusted([]byte(bad)); err == nil {
				t.Errorf("version %s takes %s: %s", v.ID, name, e.JSON)
			}
		}
		twice := strings.Replace(good, `"depth":1`, `"depth":2,"depth":1`, 1)
		if _, err := v.ParseUntrusted([]byte(twice)); (err == nil) == v.StrictCanonicalJSON {
			t.Errorf("version %s, a key twice: %v", v.ID, err)
		}
	}
}

// White space, order and keys that are no part of a PDU change nothing.
func TestParseUntrustedNormalises(t *testing.T) {
	for _, v := range Versions() {
		good := remote(t, v, nil)
		want, err := v.ParseUntrusted(good)
		if err != nil {
			t.Fatal(err)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, good, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		odd := `{"unsigned":{"age":1},"outlier":true,"destinations":[],"age_ts":1,` + strings.TrimSpace(spaced.String())[1:]
		got, err := v.ParseUntrusted([]byte(odd))
		if err != nil || describe(got) != describe(want) {
			t.Errorf("version %s: %v\n%s\n%s", v.ID, err, describe(got), describe(want))
		}
		if err := got.VerifySignature("domain", "ed25519:1", testKey(t).Public()); err != nil {
			t.Error(err)
		}
	}
}

// A wrong content hash leaves the redacted copy under the same id, and its signature stays good.
// Spec: server-server-api/#validating-hashes-and-signatures-on-received-events
func TestContentHashMismatch(t *testing.T) {
	for _, v := range Versions() {
		good := remote(t, v, nil)
		whole, err := v.ParseUntrusted(good)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(good, []byte(`"body":"x"`), []byte(`"body":"y"`), 1)
		e, err := v.ParseUntrusted(changed)
		if err != nil {
			t.Fatal(err)
		}
		redacted, err := whole.Redacted()
		if err != nil || describe(e) != describe(redacted) || string(e.Content) != "{}" || e.ID != whole.ID {
			t.Errorf("version %s: %v\n%s\n%s", v.ID, err, describe(e), describe(redacted))
		}
		if err := e.VerifySignature("domain", "ed25519:1", testKey(t).Public()); err != nil {
			t.Errorf("version %s: %v", v.ID, err)
		}
		protected := bytes.Replace(good, []byte(`"depth":1`), []byte(`"depth":2`), 1)
		if e, err := v.ParseUntrusted(protected); err != nil {
			t.Error(err)
		} else if e.VerifySignature("domain", "ed25519:1", testKey(t).Public()) == nil {
			t.Errorf("version %s: a changed depth is not noticed", v.ID)
		}
	}
}

func TestEventIDFormats(t *testing.T) {
	for id, want := range map[string]string{"1": ":", "2": ":", "3": "$", "4": "$", "12": "$"} {
		v, _ := Version(id)
		e, err := v.ParseUntrusted(remote(t, v, nil))
		if err != nil || !strings.Contains(string(e.ID), want) || want == "$" && len(e.ID) != 44 {
			t.Errorf("version %s: %s, %v", id, e.ID, err)
		}
	}
	v3, _ := Version("3")
	v4, _ := Version("4")
	if got := v3.hashID([32]byte{0xfb, 0xff}); !strings.HasPrefix(string(got), "$+/8A") {
		t.Error(got)
	}
	if got := v4.hashID([32]byte{0xfb, 0xff}); !strings.HasPrefix(string(got), "$-_8A") {
		t.Error(got)
	}
}

// Events of versions 1 and 2 refer to others by pairs.
func TestReferencePairs(t *testing.T) {
	v, _ := Version("2")
	e, err := v.ParseUntrusted(remote(t, v, map[string]string{
		"prev_events": `[["$a:b",{"sha256":"x"}],["$c:d",{}]]`, "auth_events": `[["$e:f",{}]]`}))
	if err != nil || fmt.Sprint(e.PrevEvents, e.AuthEvents) != "[$a:b $c:d] [$e:f]" {
		t.Errorf("%v, %v", e, err)
	}
	p := sampleProtos(v)[2]
	p.RefHash = func(id EventID) []byte { return []byte(id[:2]) }
	built, err := v.Build(p, testKey(t))
	if err != nil || !strings.Contains(string(built.JSON), `["$b2:domain",{"sha256":"JGI"}]`) {
		t.Errorf("%v: %s", err, built.JSON)
	}
}

func FuzzParseUntrusted(f *testing.F) {
	for i, v := range Versions() {
		for _, p := range sampleProtos(v) {
			e, err := v.Build(p, testKey(f))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), []byte(e.JSON))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		v := Versions()[int(which)%len(Versions())]
		if e, err := v.ParseTrusted("$x:y", bytes.Clone(raw)); err == nil {
			touch(t, e)
		}
		e, err := v.ParseUntrusted(raw)
		if err != nil {
			if !HasCode(err, CodeBadJSON) && !HasCode(err, CodeNotJSON) && !HasCode(err, CodeTooLarge) {
				t.Fatalf("error %v", err)
			}
			return
		}
		touch(t, e)
		canonical, err := AppendCanonical(nil, e.JSON, v.StrictCanonicalJSON)
		if err != nil || !bytes.Equal(canonical, e.JSON) || len(e.JSON) > MaxEventSize {
			t.Fatalf("not canonical: %s, %v", e.JSON, err)
		}
		again, err := v.ParseUntrusted(e.JSON)
		if err != nil || describe(again) != describe(e) {
			t.Fatalf("parsed again: %v\n%s\n%s", err, describe(again), describe(e))
		}
		own, err := v.ParseTrusted(e.ID, e.JSON)
		if err != nil || describe(own) != describe(e) {
			t.Fatalf("trusted: %v\n%s\n%s", err, describe(own), describe(e))
		}
		redacted, err := e.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		if v.EventIDFormat != EventIDDomain && v.hashID(redacted.ReferenceHash()) != e.ID {
			t.Fatalf("redaction changes the id of %s", e.JSON)
		}
	})
}

// touch calls everything that reads an event.
func touch(t *testing.T, e *Event) {
	_ = e.Membership()
	_, _ = e.MembershipContent()
	_, _ = e.PowerLevels()
	_, _ = e.CreateContent()
	_, _ = e.JoinRules()
	_, _ = e.ThirdPartyInviteContent()
	_, _, _, _ = e.HistoryVisibility(), e.Creators(), e.RequiredSigners(), e.SignatureKeys()
	_ = e.IsCreator(e.Sender)
	if clean, err := CanonicalJSON(e.JSON); err != nil || !bytes.Equal(clean, e.JSON) {
		return // ParseTrusted is owed canonical JSON; for anything else not panicking is enough
	}
	if got := append(e.ClientJSON(nil, true), '}'); !json.Valid(got) {
		t.Fatalf("client JSON: %s", got)
	}
	if got := e.StrippedJSON(nil); !json.Valid(got) {
		t.Fatalf("stripped JSON: %s", got)
	}
}
