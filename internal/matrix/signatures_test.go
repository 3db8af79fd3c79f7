package matrix

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSignByASecondServer(t *testing.T) {
	key := testKey(t)
	second, err := GenerateSigningKey("zz\".example")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Versions() {
		e, err := v.Build(sampleProtos(v)[4], key)
		if err != nil {
			t.Fatal(err)
		}
		both, err := e.Sign(second)
		if err != nil || both.ID != e.ID || strings.Contains(string(e.JSON), "example") {
			t.Fatalf("version %s: %v", v.ID, err)
		}
		if again, err := both.Sign(second); err != nil || string(again.JSON) != string(both.JSON) {
			t.Errorf("version %s: signing twice: %v", v.ID, err)
		}
		if got, err := v.ParseUntrusted(both.JSON); err != nil || describe(got) != describe(both) {
			t.Errorf("version %s: not canonical after signing: %v\n%s", v.ID, err, both.JSON)
		}
		for _, k := range []SigningKey{key, second} {
			if err := both.VerifySignature(k.ServerName, k.KeyID, k.Public()); err != nil {
				t.Errorf("version %s: %v", v.ID, err)
			}
		}
		want := fmt.Sprintf("map[domain:[ed25519:1] zz\".example:[%s]]", second.KeyID)
		if got := fmt.Sprint(both.SignatureKeys()); got != want {
			t.Errorf("signed by %s, want %s", got, want)
		}
	}
}

func TestVerifySignatureRefuses(t *testing.T) {
	key := testKey(t)
	v, _ := Version("12")
	e, err := v.Build(sampleProtos(v)[2], key)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := GenerateSigningKey("domain")
	for name, c := range map[string]struct {
		server ServerName
		keyID  string
		pub    ed25519.PublicKey
	}{
		"another server":  {"other", "ed25519:1", key.Public()},
		"another key id":  {"domain", "ed25519:2", key.Public()},
		"another key":     {"domain", "ed25519:1", other.Public()},
		"a malformed key": {"domain", "ed25519:1", key.Public()[:31]},
		"no key":          {"domain", "ed25519:1", nil},
	} {
		if err := e.VerifySignature(c.server, c.keyID, c.pub); !HasCode(err, CodeForbidden) {
			t.Errorf("%s: %v", name, err)
		}
		if err := VerifyJSON(e.JSON, c.server, c.keyID, c.pub); !HasCode(err, CodeInvalidSignature) {
			t.Errorf("VerifyJSON, %s: %v", name, err)
		}
	}
	cut := strings.Replace(string(e.JSON), `"ed25519:1":"`, `"ed25519:1":"!`, 1)
	bad, err := v.ParseTrusted(e.ID, []byte(cut))
	if err != nil || bad.VerifySignature("domain", "ed25519:1", key.Public()) == nil {
		t.Errorf("a signature that is not base64: %v", err)
	}
}

// Spec: server-server-api/#validating-hashes-and-signatures-on-received-events
func TestRequiredSigners(t *testing.T) {
	for _, c := range []struct{ version, typ, content, want string }{
		{"1", "m.room.message", `{}`, "[x id]"},
		{"2", "m.room.message", `{}`, "[x id]"},
		{"3", "m.room.message", `{}`, "[x]"},
		{"12", "m.room.member", `{"membership":"invite"}`, "[x]"},
		{"12", "m.room.member", `{"membership":"invite","third_party_invite":{}}`, "[]"},
		{"8", "m.room.member", `{"join_authorised_via_users_server":"@a:b","membership":"join"}`, "[x b]"},
		{"7", "m.room.member", `{"join_authorised_via_users_server":"@a:b","membership":"join"}`, "[x]"},
		{"8", "m.room.member", `{"join_authorised_via_users_server":"@a:x","membership":"join"}`, "[x]"},
		{"8", "m.room.member", `{"join_authorised_via_users_server":"@a:b","membership":"leave"}`, "[x]"},
	} {
		e := contentEvent(c.version, c.typ, c.content)
		e.ID = "$e:id"
		if got := fmt.Sprint(e.RequiredSigners()); got != c.want {
			t.Errorf("version %s, %s %s: %s, want %s", c.version, c.typ, c.content, got, c.want)
		}
	}
}

func TestClientJSON(t *testing.T) {
	key := testKey(t)
	want := map[string]string{
		"10": `{"content":{"reason":"é","redacts":"$target:domain"},"event_id":"ID","origin_server_ts":1700000000123,"redacts":"$target:domain","room_id":"!room:domain","sender":"@alice:domain","type":"m.room.redaction"`,
		"11": `{"content":{"reason":"é","redacts":"$target:domain"},"event_id":"ID","origin_server_ts":1700000000123,"redacts":"$target:domain","room_id":"!room:domain","sender":"@alice:domain","type":"m.room.redaction"`,
	}
	for id, text := range want {
		v, _ := Version(id)
		p := sampleProtos(v)[1]
		p.Content = json.RawMessage(`{"reason":"é"}`)
		e, err := v.Build(p, key)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.ClientJSON([]byte("x"), true)); got != "x"+strings.Replace(text, "ID", string(e.ID), 1) {
			t.Errorf("version %s: %s", id, got)
		}
		if inside := strings.Contains(string(e.Content), "target"); inside != v.RedactsInContent || e.Redacts != "$target:domain" {
			t.Errorf("version %s: content %s, redacts %s", id, e.Content, e.Redacts)
		}
	}
}

func TestClientJSONOfState(t *testing.T) {
	v, _ := Version("12")
	e, err := v.Build(sampleProtos(v)[5], testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	if err := json.Unmarshal(append(e.ClientJSON(nil, false), `,"unsigned":{"age":1}}`...), &got); err != nil {
		t.Fatal(err)
	}
	if _, ok := got["room_id"]; ok || got["state_key"] != "" || got["type"] != "m.room.join_rules" || len(got) != 7 {
		t.Errorf("%v", got)
	}
	if got := string(e.StrippedJSON(nil)); got != `{"content":`+string(e.Content)+`,"sender":"@alice:domain","state_key":"","type":"m.room.join_rules"}` {
		t.Error(got)
	}
}
