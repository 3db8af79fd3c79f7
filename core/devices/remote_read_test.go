package devices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// liar is another server that answers what it is told to.
type liar struct {
	mu     sync.Mutex
	answer string
	// meanwhile, if set, happens once, after a list was read and before it is told.
	meanwhile func()
}

// tell sets what is answered from now on.
func (l *liar) tell(answer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

// before has something happen before the next list is told.
func (l *liar) before(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.meanwhile = do
}

func (l *liar) say() (json.RawMessage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return json.RawMessage(l.answer), nil
}

func (l *liar) QueryKeys(context.Context, matrix.ServerName, matrix.ServerName, []byte) (json.RawMessage, error) {
	return l.say()
}

func (l *liar) ClaimKeys(context.Context, matrix.ServerName, matrix.ServerName, []byte) (json.RawMessage, error) {
	return l.say()
}

func (l *liar) DeviceList(context.Context, matrix.ServerName, matrix.ServerName, matrix.UserID) (json.RawMessage, error) {
	answer, err := l.say()
	l.mu.Lock()
	do := l.meanwhile
	l.meanwhile = nil
	l.mu.Unlock()
	if do != nil {
		do()
	}
	return answer, err
}

// lied is the service beside a server that lies, whose user bob shares a room with alice.
type lied struct {
	*Service
	t    *testing.T
	peer *liar
	bob  int64
}

const bob = matrix.UserID("@bob:far")

func eachLied(t *testing.T, fn func(t *testing.T, r *lied)) {
	t.Helper()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		r := &lied{t: t, peer: &liar{}}
		r.Service = New(Options{DB: db, Local: func(name matrix.ServerName) bool { return name == "hs1" }, Peers: r.peer})
		t.Cleanup(r.Close)
		alice, err := db.UserNID(t.Context(), "@alice:hs1")
		r.must(err)
		r.bob, err = db.UserNID(t.Context(), bob)
		r.must(err)
		c := &storage.Change{}
		c.Guard(storage.InsertUser(storage.User{NID: alice, ID: "@alice:hs1", Tenant: 1}))
		for _, user := range []int64{alice, r.bob} {
			c.Add(&storage.MembershipRow{User: user, Room: 1, Membership: storage.MemberJoin})
		}
		r.must(db.Commit(t.Context(), c))
		fn(t, r)
	})
}

// say has the other server answer so from now on; what goes on in the background has heard what it answered before.
func (r *lied) say(answer string) {
	r.ended.Wait()
	r.peer.tell(answer)
}

func (r *lied) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// key is the identity of a device of bob's, with more fields.
func key(id, more string) string {
	return fmt.Sprintf(`{"user_id":"@bob:far","device_id":%q,"algorithms":["a"],"keys":{"ed25519:%[1]s":"k"}%s}`, id, more)
}

func cross(usage, more string) string {
	return fmt.Sprintf(`{"user_id":"@bob:far","usage":[%q],"keys":{"ed25519:PUB":"PUB"}%s}`, usage, more)
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// shown says what a client is answered about bob's keys: his devices, the usages of his other keys, or that his server failed.
func (r *lied) shown() string {
	r.t.Helper()
	keys, err := r.QueryKeys(r.t.Context(), matrix.Caller{User: "@alice:hs1"}, map[matrix.UserID][]matrix.DeviceID{bob: nil, "@alice:hs1": nil})
	r.must(err)
	text, err := keys.AppendJSON(nil)
	r.must(err)
	if _, err := matrix.CanonicalJSON(text); err != nil {
		r.t.Fatalf("%.300q: %v", text, err)
	}
	if len(keys.DeviceKeys["@alice:hs1"]) > 0 || len(keys.UserSigning) > 0 || len(keys.DeviceKeys) > 2 {
		r.t.Errorf("%s: what was not asked for is shown", text)
	}
	return said(keys)
}

func said(keys *Keys) string {
	var out []string
	for id := range keys.DeviceKeys[bob] {
		out = append(out, string(id))
	}
	if keys.Master[bob] != nil {
		out = append(out, "master")
	}
	if keys.SelfSigning[bob] != nil {
		out = append(out, "self")
	}
	for server := range keys.Failures {
		out = append(out, string(server)+" failed")
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// spoilt are ways to spoil a key beyond use.
func spoilt() []string {
	return []string{
		`1`, `[]`, `null`, `{}`, `""`, key("X", ""), key("E", `,"user_id":"@eve:far"`), key("E", `,"algorithms":{"a":"b"}`),
		key("E", `,"x":`+deep(600)), key("E", ",\"x\":\"\xff\""), key("E", `,"x":"`+strings.Repeat("x", maxKeyBytes)+`"`),
		`{"USER_ID":"@bob:far","device_id":"E","algorithms":[],"keys":{}}`,
	}
}

// Of keys that another server shows what is spoilt is left out, and the rest is shown as any client reads it.
func TestSpoiltKeysOfOthers(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		of := func(devices string) string { return `{"device_keys":{"@bob:far":{` + devices + `}}}` }
		long := strings.Repeat("L", maxKeyName+1)
		answers := map[string]string{
			`{}`: "", `null`: "", `[]`: "far failed", `no JSON`: "far failed", `{"device_keys":[]}`: "far failed",
			`{"device_keys":{"@bob:far":"x"}}`: "far failed", `{"master_keys":{"@bob:far":1}}`: "",
			`{"DEVICE_KEYS":{"@bob:far":{"D":` + key("D", "") + `}}}`:                                                               "",
			`{"failures":{"hs1":{"errcode":"M_X"}},"user_signing_keys":{"@bob:far":{}}}`:                                            "",
			`{"device_keys":{"@alice:hs1":{"D":` + key("D", "") + `},"@carl:far":{"D":{}}}}`:                                        "",
			of(`"D":` + key("D", "") + `,"` + long + `":` + key(long, "")):                                                          "D",
			of(`"D":1,"D":` + key("D", `,"x":1e400,"USER_ID":"@eve:far"`)):                                                          "D",
			`{"master_keys":{"@bob:far":` + cross("master", "") + `},"self_signing_keys":{"@bob:far":` + cross("master", "") + `}}`: "master",
			`{"self_signing_keys":{"@bob:far":` + cross("self_signing", `,"usage":[1]`) + `}}`:                                      "",
		}
		for _, k := range spoilt() {
			answers[of(`"D":`+key("D", "")+`,"E":`+k)] = "D"
			answers[of(`"D":` + key("D", ""))[:len(of(`"D":`+key("D", "")))-1]+`,"master_keys":{"@bob:far":`+k+`}}`] = "D"
		}
		for answer, want := range answers {
			r.say(answer)
			if got := r.shown(); got != want {
				t.Errorf("%.200q: shown %q, want %q", answer, got, want)
			}
		}
		r.say(strings.TrimSuffix(of(`"D":`+key("D", `, "unsigned":{"device_display_name":"tel","x":1},"a":2`)), "}") +
			`,"master_keys":{"@bob:far":` + cross("master", `, "x":1e400,"unsigned":{}`) + `}}`)
		keys, err := r.QueryKeys(t.Context(), matrix.Caller{User: "@alice:hs1"}, map[matrix.UserID][]matrix.DeviceID{bob: nil})
		r.must(err)
		const want = `{"a":2,"algorithms":["a"],"device_id":"D","keys":{"ed25519:D":"k"},"user_id":"@bob:far","unsigned":{"device_display_name":"tel"}}`
		if got := string(keys.DeviceKeys[bob]["D"]); got != want {
			t.Errorf("shown as %s", got)
		}
		if got := string(keys.Master[bob]); got != `{"keys":{"ed25519:PUB":"PUB"},"usage":["master"],"user_id":"@bob:far","x":1e400}` {
			t.Errorf("the master key is shown as %s", got)
		}
	})
}

// Of one-time keys those are handed on that were asked for and are such.
func TestSpoiltOneTimeKeysOfOthers(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		good := `"signed_curve25519:A":{"key":"k"}`
		of := func(keys string) string { return `{"one_time_keys":{"@bob:far":{"D":{` + keys + `}}}}` }
		const handed = `{"@bob:far":{"D":{"signed_curve25519:A":{"key":"k"}}}}`
		for answer, want := range map[string]string{
			of(good): handed, of(`"curve25519:A":"k",` + good): handed, of(`"signed_curve25519:A":1,` + good): handed,
			of(`"signed_curve25519:B":null,` + good): handed, of(`"signed_curve25519:B":` + deep(600) + `,` + good): handed,
			of("\"signed_curve25519:B\":\"\xff\"," + good): handed, of(`"signed_curve25519":{},` + good): handed,
			`{"one_time_keys":{"@alice:hs1":{"D":{` + good + `}},"@bob:far":{"D":{` + good + `},"E":{` + good + `}}}}`: handed,
			`{}`: "{}", `null`: "{}", `{"one_time_keys":{"@bob:far":null}}`: "{}", `{"ONE_TIME_KEYS":{"@bob:far":{"D":{` + good + `}}}}`: "{}",
			`[]`: "failed", `no JSON`: "failed", `{"one_time_keys":{"@bob:far":{"D":[]}}}`: "failed", `{"one_time_keys":1}`: "failed",
		} {
			r.say(answer)
			keys, failures, err := r.ClaimKeys(t.Context(), "hs1", ClaimRequest{bob: {"D": "signed_curve25519"}})
			r.must(err)
			got := string(keys.AppendJSON(nil))
			if len(failures) > 0 {
				got = "failed"
			}
			if got != want {
				t.Errorf("%.200q: handed on %s, want %s", answer, got, want)
			}
		}
	})
}

// A list of devices that cannot be read leaves what is kept of them; a device that cannot be read takes no other with it.
func TestSpoiltDeviceListsOfOthers(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		device := func(id, keys string) string { return fmt.Sprintf(`{"device_id":%q,"keys":%s}`, id, keys) }
		of := func(devices string) string { return `{"user_id":"@bob:far","stream_id":7,"devices":[` + devices + `]}` }
		kept := func() string {
			t.Helper()
			keys, err := r.db.ListDeviceKeys(t.Context(), []int64{r.bob})
			r.must(err)
			var out []string
			for _, k := range keys {
				out = append(out, string(k.Device))
			}
			slices.Sort(out)
			return strings.Join(out, ", ")
		}
		fetch := func(answer string) error {
			r.say(answer)
			return r.fetchList(t.Context(), r.bob, bob, becauseMissed)
		}
		for _, answer := range []string{
			`{}`, `null`, `[]`, `no JSON`, `{"user_id":"@bob:far","stream_id":7}`, strings.Replace(of(""), "7", "1e30", 1), strings.Replace(of(""), "7", `"7"`, 1),
			strings.Replace(of(""), "bob", "eve", 1), strings.Replace(of(""), "[]", "{}", 1), `{"USER_ID":"@bob:far","stream_id":7,"devices":[]}`,
			of(strings.Repeat(`{},`, maxRemote) + `{}`),
		} {
			r.must(fetch(of(device("D", key("D", "")))))
			if err := fetch(answer); err == nil || kept() != "D" {
				t.Errorf("%.200q: %v; kept are %q", answer, err, kept())
			}
		}
		long := strings.Repeat("L", maxKeyName+1)
		for _, more := range append(spoilt(), key("E", "")+`},{"device_id":"E","keys":1`, `{}},1,[],{"device_id":5`) {
			if err := fetch(of(device("D", key("D", "")) + "," + device("E", more) + "," + device(long, key(long, "")))); err != nil || kept() != "D" {
				t.Errorf("%.200q: %v; kept are %q", more, err, kept())
			}
		}
		r.must(fetch(of(device("D", key("D", "")) + "," + device("D", key("D", `,"x":1`)) + `,{"device_id":"E","device_display_name":5,"keys":` + key("E", "") + `}`)))
		if kept() != "D, E" {
			t.Errorf("kept are %q", kept())
		}
	})
}

// A change of a device that cannot be read has the list fetched again: what is kept would stay wrong.
func TestSpoiltChangesOfDevices(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		for _, change := range []string{
			`{"user_id":"@bob:far","device_id":"E","stream_id":"8","prev_id":[7]}`, `{"user_id":"@bob:far","device_id":"E","stream_id":8,"prev_id":7}`,
			`{"user_id":"@bob:far","device_id":5,"stream_id":8,"prev_id":[7]}`, `{"user_id":"@bob:far","stream_id":8,"prev_id":[7]}`,
			`{"user_id":"@bob:far","device_id":"D","stream_id":8,"prev_id":[7],"keys":` + key("D", `,"x":`+deep(600)) + `}`,
			`{"user_id":"@bob:far","device_id":"D","stream_id":8,"prev_id":[7],"keys":{}}`,
		} {
			r.say(`{"user_id":"@bob:far","stream_id":7,"devices":[]}`)
			r.must(r.fetchList(t.Context(), r.bob, bob, becauseMissed))
			r.say(`[]`) // so that what is fetched behind our back changes nothing
			r.must(r.ReceiveDeviceUpdate(t.Context(), "far", json.RawMessage(change)))
			r.ended.Wait()
			if _, err := r.db.FindRemoteDevices(t.Context(), r.bob); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%.100s: the list still counts: %v", change, err)
			}
		}
		r.say(`{"user_id":"@bob:far","stream_id":7,"devices":[]}`)
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseMissed))
		for _, change := range []string{`[]`, `null`, `1`, `{"user_id":5}`, `{"user_id":"@bob:other","stream_id":[]}`, `{"USER_ID":"@bob:far","stream_id":[]}`} {
			r.must(r.ReceiveDeviceUpdate(t.Context(), "far", json.RawMessage(change)))
			r.must(r.ReceiveSigningUpdate(t.Context(), "far", json.RawMessage(change)))
			r.must(r.ReceiveToDevice(t.Context(), "far", "hs1", json.RawMessage(change)))
		}
		if stream, err := r.db.FindRemoteDevices(t.Context(), r.bob); err != nil || stream != 7 {
			t.Errorf("what names nobody of that server's touched the list: %d, %v", stream, err)
		}
	})
}
