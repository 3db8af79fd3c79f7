package keys

import (
	"encoding/base64"
	"testing"
	"time"

	"rempart/internal/matrix"
)

// Whatever a server says, only keys that have signed it come out, none for longer than a week.
func FuzzResponse(f *testing.F) {
	key, err := matrix.GenerateSigningKey("a.org")
	if err != nil {
		f.Fatal(err)
	}
	text := base64.RawStdEncoding.EncodeToString(key.Public())
	good, err := matrix.SignJSON([]byte(`{"server_name":"a.org","verify_keys":{"`+key.KeyID+`":{"key":"`+text+
		`"}},"old_verify_keys":{"ed25519:o":{"key":"`+text+`","expired_ts":5}},"valid_until_ts":9000000000000}`), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"server_name":"a.org","verify_keys":{"ed25519:x":{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},"signatures":{"a.org":{"ed25519:x":"AA"}},"valid_until_ts":1e3}`))
	f.Add([]byte(`{"server_name":"a.org","verify_keys":null,"old_verify_keys":[],"valid_until_ts":-1}`))
	now := time.UnixMilli(1_800_000_000_000)
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := parse("a.org", raw, now)
		if err != nil {
			return
		}
		if len(found) == 0 || len(found) > maxKeys {
			t.Errorf("%d keys", len(found))
		}
		for _, k := range found {
			if k.ValidUntil > now.Add(maxValid).UnixMilli() || k.Expired > now.UnixMilli() || len(k.Public) != 32 {
				t.Errorf("%+v", k)
			}
			if k.Expired == 0 && matrix.VerifyJSON(raw, "a.org", k.KeyID, k.Public) != nil {
				t.Errorf("%s has not signed", k.KeyID)
			}
		}
	})
}
