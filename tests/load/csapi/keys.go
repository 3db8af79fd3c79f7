package csapi

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// KeyUpload is the body of a /keys/upload for a new device: its identity keys
// and n one-time keys, properly signed. Spec: client-server-api/#key-algorithms
func KeyUpload(u User, n int) ([]byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	id := deviceJSON(u, base64.RawStdEncoding.EncodeToString(public), random32())
	oneTime := make(map[string]json.RawMessage, n)
	for i := range n {
		oneTime["signed_curve25519:K"+strconv.FormatInt(int64(i)+1e6, 36)] = signed(`{"key":`+quote(random32())+`}`, u, private)
	}
	return json.Marshal(map[string]any{"device_keys": signed(id, u, private), "one_time_keys": oneTime})
}

// deviceJSON is the canonical JSON of a device's identity.
func deviceJSON(u User, ed, curve string) string {
	return `{"algorithms":["m.olm.v1.curve25519-aes-sha2","m.megolm.v1.aes-sha2"],"device_id":` + quote(u.Device) +
		`,"keys":{` + quote("curve25519:"+u.Device) + `:` + quote(curve) + `,` + quote("ed25519:"+u.Device) + `:` + quote(ed) +
		`},"user_id":` + quote(u.ID) + `}`
}

// signed adds the device's signature to an object in canonical form.
func signed(canonical string, u User, key ed25519.PrivateKey) json.RawMessage {
	signature := base64.RawStdEncoding.EncodeToString(ed25519.Sign(key, []byte(canonical)))
	return json.RawMessage(strings.TrimSuffix(canonical, "}") + `,"signatures":{` + quote(u.ID) +
		`:{` + quote("ed25519:"+u.Device) + `:` + quote(signature) + `}}}`)
}

func random32() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawStdEncoding.EncodeToString(b[:])
}

// quote is a JSON string; user and device ids need no more than Marshal does.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// QueryBody asks for all devices of the users.
func QueryBody(users []User) ([]byte, error) {
	ask := make(map[string][]string, len(users))
	for _, u := range users {
		ask[u.ID] = []string{}
	}
	return json.Marshal(map[string]any{"device_keys": ask})
}

// ClaimBody asks for one one-time key of each user's device.
func ClaimBody(users []User) ([]byte, error) {
	ask := make(map[string]map[string]string, len(users))
	for _, u := range users {
		ask[u.ID] = map[string]string{u.Device: "signed_curve25519"}
	}
	return json.Marshal(map[string]any{"one_time_keys": ask})
}

// ClaimedKeys lists the keys in an answer to a claim, as "user device keyid".
func ClaimedKeys(answer []byte) ([]string, error) {
	var a struct {
		Keys map[string]map[string]map[string]json.RawMessage `json:"one_time_keys"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	var keys []string
	for user, devices := range a.Keys {
		for device, ids := range devices {
			for id := range ids {
				keys = append(keys, user+" "+device+" "+id)
			}
		}
	}
	return keys, nil
}

// QueriedUsers counts the users of whom an answer to a query has a device.
func QueriedUsers(answer []byte) (int, error) {
	var a struct {
		Keys map[string]map[string]json.RawMessage `json:"device_keys"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return 0, fmt.Errorf("query: %w", err)
	}
	n := 0
	for _, devices := range a.Keys {
		if len(devices) > 0 {
			n++
		}
	}
	return n, nil
}
