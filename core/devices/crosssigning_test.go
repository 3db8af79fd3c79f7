package devices_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rempart/core/devices"
	"rempart/internal/matrix"
)

// signer is somebody's ed25519 key.
type signer struct {
	user matrix.UserID
	name string // what stands behind "ed25519:"; the public key for cross-signing keys
	key  ed25519.PrivateKey
}

func newSigner(user matrix.UserID, seed byte, name string) signer {
	k := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), 32)))
	s := signer{user, name, k}
	if name == "" {
		s.name = s.public()
	}
	return s
}

func (s signer) public() string {
	return base64.RawStdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
}

func (s signer) sign(t *testing.T, raw string) json.RawMessage {
	t.Helper()
	out, err := matrix.SignJSON([]byte(raw), matrix.SigningKey{ServerName: matrix.ServerName(s.user), KeyID: "ed25519:" + s.name, Private: s.key})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s signer) crossKey(usage string) string {
	return fmt.Sprintf(`{"user_id":%q,"usage":[%q],"keys":{"ed25519:%s":"%s"}}`, s.user, usage, s.public(), s.public())
}

func TestCrossSigning(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.device("@alice:hs1", "A"), r.device("@bob:hs1", "B")
		master, self, user := newSigner(alice.User, 'm', ""), newSigner(alice.User, 's', ""), newSigner(alice.User, 'u', "")
		device := newSigner(alice.User, 'd', "A")
		store := func(up devices.CrossSigning) (needsAuth bool) {
			t.Helper()
			plan, err := r.PlanCrossSigning(t.Context(), alice, up)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.StoreCrossSigning(t.Context(), plan); err != nil {
				t.Fatal(err)
			}
			return plan.NeedsAuth
		}
		_, err := r.PlanCrossSigning(t.Context(), alice, devices.CrossSigning{SelfSigning: master.sign(t, self.crossKey("self_signing"))})
		refused(t, err, matrix.CodeMissingParam)
		full := devices.CrossSigning{
			Master: json.RawMessage(master.crossKey("master")), SelfSigning: master.sign(t, self.crossKey("self_signing")),
			UserSigning: master.sign(t, user.crossKey("user_signing")),
		}
		forged := full
		forged.UserSigning = self.sign(t, user.crossKey("user_signing"))
		_, err = r.PlanCrossSigning(t.Context(), alice, forged)
		refused(t, err, matrix.CodeInvalidSignature)
		_, err = r.PlanCrossSigning(t.Context(), bob, full)
		refused(t, err, matrix.CodeInvalidParam)
		for range 2 {
			if store(full) {
				t.Error("the first upload, and the same again, need no authentication")
			}
		}
		r.upload(alice, fmt.Sprintf(`{"device_keys":{"user_id":"@alice:hs1","device_id":"A","algorithms":[],"keys":{"ed25519:A":%q},"signatures":null}}`, device.public()))
		keys := func(c matrix.Caller) *devices.Keys {
			t.Helper()
			got, err := r.QueryKeys(t.Context(), c, map[matrix.UserID][]matrix.DeviceID{alice.User: nil})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		stored := strings.Replace(string(keys(alice).DeviceKeys[alice.User]["A"]), `"signatures":null,`, "", 1)
		other := strings.Replace(stored, `"algorithms":[]`, `"algorithms":["x"]`, 1)
		for name, c := range map[string]struct {
			target string
			body   json.RawMessage
			want   string
		}{
			"by the self-signing key": {"A", self.sign(t, stored), ""},
			"by the master key":       {"A", master.sign(t, stored), matrix.CodeInvalidSignature},
			"of another key":          {"A", self.sign(t, other), matrix.CodeInvalidParam},
			"of no key":               {"NONE", self.sign(t, stored), matrix.CodeNotFound},
			"of the master key":       {master.public(), device.sign(t, master.crossKey("master")), ""},
		} {
			failures, err := r.UploadSignatures(t.Context(), alice, devices.Signatures{alice.User: {c.target: c.body}})
			if err != nil {
				t.Fatal(err)
			}
			if got := failures[alice.User][c.target].Code; got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
		seen := keys(bob)
		if !strings.Contains(string(seen.DeviceKeys[alice.User]["A"]), "ed25519:"+self.public()) || seen.UserSigning[alice.User] != nil {
			t.Errorf("bob sees %s, user-signing %s", seen.DeviceKeys[alice.User]["A"], seen.UserSigning[alice.User])
		}
		if !strings.Contains(string(seen.Master[alice.User]), "ed25519:A") || keys(alice).UserSigning[alice.User] == nil {
			t.Error("the device's signature on the master key, or the own user-signing key, is missing")
		}
		next := newSigner(alice.User, 'n', "")
		if !store(devices.CrossSigning{Master: json.RawMessage(next.crossKey("master"))}) {
			t.Error("another master key needs authentication")
		}
		if strings.Contains(string(keys(bob).DeviceKeys[alice.User]["A"]), self.public()) || len(keys(bob).SelfSigning) != 0 {
			t.Error("what the old master key vouched for is still there")
		}
	})
}

func TestKeyBackup(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		c := r.device("@alice:hs1", "A")
		create := func() string {
			t.Helper()
			v, err := r.CreateBackup(t.Context(), c, devices.BackupVersion{Algorithm: "m.megolm_backup.v1", AuthData: json.RawMessage(`{"a":1}`)})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		_, err := r.GetBackup(t.Context(), c, "")
		refused(t, err, matrix.CodeNotFound)
		v1 := create()
		key := func(verified bool, index, forwarded int) devices.BackupKeys {
			body := fmt.Sprintf(`{"first_message_index":%d,"forwarded_count":%d,"is_verified":%t,"session_data":{}}`, index, forwarded, verified)
			return devices.BackupKeys{Rooms: map[matrix.RoomID]devices.BackupRoom{"!r:hs1": {Sessions: map[string]json.RawMessage{"s": json.RawMessage(body)}}}}
		}
		put := func(version string, k devices.BackupKeys) *devices.BackupState {
			t.Helper()
			state, err := r.PutBackupKeys(t.Context(), c, version, k)
			if err != nil {
				t.Fatal(err)
			}
			return state
		}
		kept := func(want devices.BackupKeys) {
			t.Helper()
			got, err := r.GetBackupKeys(t.Context(), c, v1, "", "")
			if err != nil || string(got.Rooms["!r:hs1"].Sessions["s"]) != string(want.Rooms["!r:hs1"].Sessions["s"]) {
				t.Errorf("kept %s (%v), want %s", got.Rooms["!r:hs1"].Sessions["s"], err, want.Rooms["!r:hs1"].Sessions["s"])
			}
		}
		first := put(v1, key(false, 10, 5))
		for _, worse := range []devices.BackupKeys{key(false, 11, 5), key(false, 10, 6), key(false, 11, 0)} {
			put(v1, worse)
			kept(key(false, 10, 5))
		}
		for _, better := range []devices.BackupKeys{key(false, 10, 4), key(false, 9, 9), key(true, 20, 20)} {
			put(v1, better)
			kept(better)
		}
		if now := put(v1, key(true, 1, 1)); now.Count != 1 || now.ETag == first.ETag {
			t.Errorf("state %+v after %+v", now, first)
		}
		v2 := create()
		_, err = r.PutBackupKeys(t.Context(), c, v1, key(true, 0, 0))
		if refused(t, err, matrix.CodeWrongRoomKeysVersion); matrix.AsError(err).Extra["current_version"] != v2 {
			t.Error(err)
		}
		refused(t, r.UpdateBackup(t.Context(), c, v2, devices.BackupVersion{Algorithm: "other", AuthData: json.RawMessage(`{}`)}), matrix.CodeInvalidParam)
		if err := r.DeleteBackup(t.Context(), c, v2); err != nil {
			t.Fatal(err)
		}
		refused(t, r.DeleteBackup(t.Context(), c, v2), matrix.CodeNotFound)
		if create() == v2 {
			t.Error("the number of a deleted version came back")
		}
	})
}
