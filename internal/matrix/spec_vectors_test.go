package matrix

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// testKey is the key of the specification's test vectors. Spec: appendices/#cryptographic-test-vectors
func testKey(t testing.TB) SigningKey {
	t.Helper()
	seed, err := decodeBase64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
	if err != nil {
		t.Fatal(err)
	}
	return SigningKey{ServerName: "domain", KeyID: "ed25519:1", Private: ed25519.NewKeyFromSeed(seed)}
}

// Spec: appendices/#canonical-json, "Examples"
func TestCanonicalJSONExamples(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{}`, `{}`},
		{"{\n \"one\": 1,\n \"two\": \"Two\"\n}", `{"one":1,"two":"Two"}`},
		{`{"b": "2", "a": "1"}`, `{"a":"1","b":"2"}`},
		{`{"b":"2","a":"1"}`, `{"a":"1","b":"2"}`},
		{`{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",
		  "three_pids": [{"medium": "email", "address": "john.doe@example.org"},
		  {"medium": "msisdn", "address": "123456789"}]}}}`,
			`{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}`},
		{`{"a": "日本語"}`, `{"a":"日本語"}`},
		{`{"本": 2, "日": 1}`, `{"日":1,"本":2}`},
		{`{"a": "\u65E5"}`, `{"a":"日"}`},
		{`{"a": null}`, `{"a":null}`},
		{`{"a": -0, "b": 1e10}`, `{"a":0,"b":10000000000}`},
	} {
		got, err := CanonicalJSON([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("CanonicalJSON(%s) = %s, %v; want %s", c.in, got, err, c.want)
		}
	}
}

// Spec: appendices/#json-signing
func TestSignJSONVectors(t *testing.T) {
	key := testKey(t)
	for _, c := range []struct{ in, want string }{
		{`{}`, `{"signatures":{"domain":{"ed25519:1":"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"}}}`},
		{`{"one": 1, "two": "Two"}`, `{"one":1,"signatures":{"domain":{"ed25519:1":"KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"}},"two":"Two"}`},
	} {
		got, err := SignJSON([]byte(c.in), key)
		if err != nil || string(got) != c.want {
			t.Fatalf("SignJSON(%s) = %s, %v; want %s", c.in, got, err, c.want)
		}
		if err := VerifyJSON(got, "domain", "ed25519:1", key.Public()); err != nil {
			t.Errorf("VerifyJSON(%s): %v", got, err)
		}
		bad := strings.Replace(string(got), "{", `{"x":1,`, 1)
		if err := VerifyJSON([]byte(bad), "domain", "ed25519:1", key.Public()); !HasCode(err, CodeInvalidSignature) {
			t.Errorf("VerifyJSON of changed JSON: %v", err)
		}
	}
}

// Signing keeps what is not covered. Spec: appendices/#signing-details
func TestSignJSONKeepsOthers(t *testing.T) {
	key := testKey(t)
	first, err := SignJSON([]byte(`{"a":1,"unsigned":{"age_ts":5}}`), key)
	if err != nil {
		t.Fatal(err)
	}
	other := SigningKey{ServerName: "other", KeyID: "ed25519:2", Private: key.Private}
	second, err := SignJSON(first, other)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(second), `"unsigned":{"age_ts":5}`) {
		t.Errorf("unsigned was lost: %s", second)
	}
	for _, k := range []SigningKey{key, other} {
		if err := VerifyJSON(second, k.ServerName, k.KeyID, key.Public()); err != nil {
			t.Errorf("%s: %v", k.ServerName, err)
		}
	}
}

// The events of appendices/#event-signing, hashed and signed by our parts: they carry "origin", which Build does
// not write, so the event is taken through Sign. The second one lacks what the event format asks for.
func TestEventSigningVectors(t *testing.T) {
	key := testKey(t)
	v1, _ := Version("1")
	for _, c := range []struct{ event, typ, hash, sig string }{
		{`{"auth_events":[],"content":{},"depth":3,"hashes":{"sha256":"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},"origin":"domain","origin_server_ts":1000000,"prev_events":[],"room_id":"!x:domain","sender":"@a:domain","signatures":{},"type":"X"}`,
			"X", "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
			"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"},
		{`{"content":{"body":"Here is the message content"},"event_id":"$0:domain","hashes":{"sha256":"onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g"},"origin":"domain","origin_server_ts":1000000,"room_id":"!r:domain","sender":"@u:domain","signatures":{},"type":"m.room.message"}`,
			"m.room.message", "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
			"Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA"},
	} {
		f, ok := scanFields([]byte(c.event))
		if !ok || !contentHashMatches(nil, []byte(c.event), f.hashes) {
			t.Errorf("content hash of %s is not %s", c.event, c.hash)
		}
		covered := appendRedacted(nil, []byte(c.event), v1.RedactionAlgorithm, c.typ, false)
		signed, err := SignJSON(covered, key)
		if err != nil || !strings.Contains(string(signed), c.sig) {
			t.Errorf("signed: %s, %v; want signature %s", signed, err, c.sig)
		}
	}
}

func sha256Base64(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawStdEncoding.EncodeToString(sum[:])
}
