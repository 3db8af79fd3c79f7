package csapi

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestScanMessagesFindsWhatAppendMessageWrites(t *testing.T) {
	at := time.Unix(1700000000, 123456789)
	answer := append([]byte(`{"rooms":{"x":[{"content":`), appendMessage(nil, at, 17)...)
	answer = append(answer, `},{"content":{"body":"~load:nonsense"}},{"content":`...)
	answer = append(answer, appendMessage(nil, at.Add(time.Nanosecond), 18)...)
	answer = append(answer, `,"a":"~load:"}]}}`...)
	var got []string
	ScanMessages(answer, func(sent time.Time, seq int) { got = append(got, fmt.Sprint(sent.Sub(at).Nanoseconds(), seq)) })
	if strings.Join(got, ",") != "0 17,1 18" {
		t.Errorf("found %q", got)
	}
	if !json.Valid(appendMessage(nil, at, 1)) {
		t.Error("a message is not JSON")
	}
}

func TestScanMessagesSurvivesCutAnswers(t *testing.T) {
	full := string(appendMessage(nil, time.Unix(1700000000, 1), 5))
	for i := range full {
		ScanMessages([]byte(full[:i]), func(time.Time, int) {})
	}
}

func TestStringField(t *testing.T) {
	for _, c := range []struct {
		text, want string
		ok         bool
	}{
		{`{"next_batch":"s1_2"}`, "s1_2", true},
		{`{ "next_batch" : "s1" }`, "s1", true},
		{`{"a":"next_batch","next_batch":"s1"}`, "s1", true},
		{`{"next_batch":7}`, "", false},
		{`{"next_batch":"a\"b\\"}`, `a"b\`, true},
		{`{"next_batch":"é"}`, "é", true},
		{`{"next_batch":"open`, "", false},
		{`{"next_batch"`, "", false},
		{`{}`, "", false},
	} {
		got, ok := stringField([]byte(c.text), "next_batch")
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %q %v, want %q %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestGaps(t *testing.T) {
	s := Synced{Body: []byte(`{"a":{"limited":true},"b":{"limited": true},"c":{"limited":false}}`)}
	if s.Gaps() != 2 {
		t.Errorf("%d gaps, want 2", s.Gaps())
	}
}

// The value was computed with: printf 'n0nce\0alice\0secret\0notadmin' | openssl sha1 -hmac shared
func TestRegistrationMAC(t *testing.T) {
	if got := registrationMAC("shared", "n0nce", "alice", "secret"); got != "ff46f583384694d01edb12ee2349d4c923c8b4c5" {
		t.Errorf("mac %s", got)
	}
}

func TestKeyUploadIsSigned(t *testing.T) {
	u := User{ID: "@a:b", Device: "DEV"}
	body, err := KeyUpload(u, 3)
	if err != nil {
		t.Fatal(err)
	}
	var up struct {
		Device  map[string]json.RawMessage            `json:"device_keys"`
		OneTime map[string]map[string]json.RawMessage `json:"one_time_keys"`
	}
	if err := json.Unmarshal(body, &up); err != nil {
		t.Fatal(err)
	}
	var keys map[string]string
	if err := json.Unmarshal(up.Device["keys"], &keys); err != nil {
		t.Fatal(err)
	}
	public, err := base64.RawStdEncoding.DecodeString(keys["ed25519:DEV"])
	if err != nil {
		t.Fatal(err)
	}
	objects := []map[string]json.RawMessage{up.Device}
	for _, k := range up.OneTime {
		objects = append(objects, k)
	}
	if len(objects) != 4 {
		t.Fatalf("%d one-time keys, want 3", len(objects)-1)
	}
	for _, o := range objects {
		var signatures map[string]map[string]string
		if err := json.Unmarshal(o["signatures"], &signatures); err != nil {
			t.Fatal(err)
		}
		signature, err := base64.RawStdEncoding.DecodeString(signatures["@a:b"]["ed25519:DEV"])
		if err != nil {
			t.Fatal(err)
		}
		delete(o, "signatures")
		canonical, err := json.Marshal(o) // sorted keys, nothing to escape
		if err != nil || !ed25519.Verify(public, canonical, signature) {
			t.Errorf("the signature of %s does not verify (%v)", canonical, err)
		}
	}
}

func TestClaimedKeysAndQueriedUsers(t *testing.T) {
	keys, err := ClaimedKeys([]byte(`{"one_time_keys":{"@a:b":{"D":{"signed_curve25519:X":{"key":"k"}}}},"failures":{}}`))
	if err != nil || len(keys) != 1 || keys[0] != "@a:b D signed_curve25519:X" {
		t.Errorf("%q %v", keys, err)
	}
	n, err := QueriedUsers([]byte(`{"device_keys":{"@a:b":{"D":{}},"@c:b":{}}}`))
	if err != nil || n != 1 {
		t.Errorf("%d %v, want 1", n, err)
	}
	if _, err := ClaimedKeys([]byte("[")); err == nil {
		t.Error("nonsense was accepted")
	}
}
