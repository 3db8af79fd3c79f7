package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// told is what clients of the older server know.
type told struct {
	Alice, Bob mx.Client
	Room       string
	// Since is Bob's place in the stream; Later is what was said behind it.
	Since, Picture, Filter, Backup string
	Later                          []string
	// Answers are what looks have shown, by their names.
	Answers map[string]string
}

const picture = "not much of a picture"

// tell has two people use the server for a while.
func tell(t *testing.T, url string) *told {
	ctx := t.Context()
	people := map[string]*mx.Client{}
	for _, name := range []string{"alice", "bob", "carol"} {
		c, err := mx.Register(ctx, url, name)
		mx.Must(t, err)
		people[name] = c
	}
	alice, bob, carol := people["alice"], people["bob"], people["carol"]
	act := func(c *mx.Client, method, path string, body any) map[string]any {
		t.Helper()
		var out map[string]any
		if err := c.Do(ctx, method, "/_matrix/client/v3"+path, body, &out); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return out
	}
	type o = map[string]any
	act(alice, "PUT", "/profile/"+alice.UserID+"/displayname", o{"displayname": "Alice A."})
	room, err := alice.CreateRoom(ctx, o{"preset": "public_chat", "visibility": "public", "name": "Town hall", "topic": "What the town talks of", "room_alias_name": "hall"})
	mx.Must(t, err)
	k := &told{Alice: *alice, Bob: *bob, Room: room, Picture: upload(t, alice)}
	at := "/rooms/" + room
	mx.Must(t, bob.Join(ctx, room))
	mx.Must(t, carol.Join(ctx, room))
	act(alice, "POST", at+"/ban", o{"user_id": carol.UserID, "reason": "to see her banned"})
	send := func(c *mx.Client, kind string, content o) string {
		t.Helper()
		return act(c, "PUT", at+"/send/"+kind+"/"+fmt.Sprint(len(content), kind, content["body"], content["m.relates_to"] != nil), content)["event_id"].(string)
	}
	text := func(body string) o { return o{"msgtype": "m.text", "body": body} }
	var first string
	for n := range 30 {
		id := send(alice, "m.room.message", text(fmt.Sprintf("message %d of the cathedral", n)))
		if n == 0 {
			first = id
		}
	}
	reply := text("in the thread")
	reply["m.relates_to"] = o{"rel_type": "m.thread", "event_id": first}
	send(bob, "m.room.message", reply)
	send(bob, "m.reaction", o{"m.relates_to": o{"rel_type": "m.annotation", "event_id": first, "key": "👍"}})
	gone := send(bob, "m.room.message", text("taken back"))
	act(bob, "PUT", at+"/redact/"+gone+"/once", o{})
	act(bob, "POST", at+"/read_markers", o{"m.fully_read": first, "m.read": first})
	act(bob, "PUT", "/user/"+bob.UserID+at+"/tags/m.favourite", o{"order": 0.5})
	act(bob, "PUT", "/user/"+bob.UserID+"/account_data/org.example.colour", o{"colour": "blue"})
	act(bob, "PUT", "/pushrules/global/content/cathedral", o{"pattern": "cathedral", "actions": []any{"notify", o{"set_tweak": "highlight"}}})
	k.Filter = act(bob, "POST", "/user/"+bob.UserID+"/filter", o{"room": o{"timeline": o{"limit": 5}}})["filter_id"].(string)
	secret, err := alice.CreateRoom(ctx, o{"preset": "private_chat", "name": "Cabinet", "invite": []string{bob.UserID}})
	mx.Must(t, err)
	act(alice, "PUT", "/rooms/"+secret+"/state/m.room.encryption/", o{"algorithm": "m.megolm.v1.aes-sha2"})
	act(bob, "POST", "/keys/upload", o{"device_keys": o{
		"user_id": bob.UserID, "device_id": bob.DeviceID, "algorithms": []string{"m.megolm.v1.aes-sha2"},
		"keys": o{"curve25519:" + bob.DeviceID: "abc", "ed25519:" + bob.DeviceID: "def"}, "signatures": o{bob.UserID: o{"ed25519:" + bob.DeviceID: "ghi"}},
	}, "one_time_keys": o{"curve25519:one": "first key"}})
	k.Backup = act(bob, "POST", "/room_keys/version", o{"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": o{"public_key": "abc"}})["version"].(string)
	act(bob, "PUT", "/room_keys/keys?version="+k.Backup, o{"rooms": o{secret: o{"sessions": o{"s1": o{
		"first_message_index": 1, "forwarded_count": 0, "is_verified": true, "session_data": o{"ciphertext": "x"}}}}}})
	answer, err := bob.Sync(ctx, "", 0)
	mx.Must(t, err)
	k.Since = answer.NextBatch
	for n := range 3 {
		k.Later = append(k.Later, send(alice, "m.room.message", text(fmt.Sprintf("later %d", n))))
	}
	act(alice, "PUT", "/sendToDevice/org.example.kept/one", o{"messages": o{bob.UserID: o{"*": o{"for": "bob"}}}})
	return k
}

// upload brings the picture.
func upload(t *testing.T, c *mx.Client) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", c.URL+"/_matrix/media/v3/upload?filename=p.txt", strings.NewReader(picture))
	mx.Must(t, err)
	req.Header.Set("Content-Type", "text/plain")
	raw := answered(t, c, req)
	var a struct {
		URI string `json:"content_uri"`
	}
	mx.Must(t, json.Unmarshal(raw, &a))
	return a.URI
}

// answered is the body of an answer with status 200.
func answered(t *testing.T, c *mx.Client, req *http.Request) []byte {
	t.Helper()
	req.Header.Set("Authorization", "Bearer "+c.Token)
	res, err := http.DefaultClient.Do(req)
	mx.Must(t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %.300s %v", req.URL.Path, res.Status, raw, err)
	}
	return raw
}

// look is a question whose answer must not change.
type look struct {
	name, who, method, path string
	body                    any
	// pick names the part of the answer: keys between dots, * for all elements, ~ for all in any order.
	pick string
}

// looks are the questions.
func (k *told) looks() []look {
	type o = map[string]any
	at, bob := "/rooms/"+k.Room, "/user/"+k.Bob.UserID
	return []look{
		{"profile", "bob", "GET", "/profile/" + k.Alice.UserID, nil, "displayname"},
		{"alias", "bob", "GET", "/directory/room/" + url.PathEscape("#hall:localhost"), nil, "room_id"},
		{"public rooms", "bob", "GET", "/publicRooms", nil, "chunk.*.name"},
		{"state", "bob", "GET", at + "/state", nil, "~.event_id"},
		{"topic", "bob", "GET", at + "/state/m.room.topic/", nil, "topic"},
		{"members", "bob", "GET", at + "/members", nil, "chunk.~.content.membership"},
		{"history", "bob", "GET", at + "/messages?dir=b&limit=100", nil, "chunk.*.event_id"},
		{"what was said", "bob", "GET", at + "/messages?dir=f&limit=100", nil, "chunk.*.content"},
		{"threads", "bob", "GET", "/../v1" + at + "/threads", nil, "chunk.*.event_id"},
		{"search", "bob", "POST", "/search", o{"search_categories": o{"room_events": o{"search_term": "cathedral", "order_by": "recent"}}}, "search_categories.room_events.count"},
		{"tags", "bob", "GET", bob + at + "/tags", nil, "tags"},
		{"account data", "bob", "GET", bob + "/account_data/org.example.colour", nil, ""},
		{"fully read", "bob", "GET", bob + at + "/account_data/m.fully_read", nil, ""},
		{"push rule", "bob", "GET", "/pushrules/global/content/cathedral", nil, ""},
		{"filter", "bob", "GET", bob + "/filter/" + k.Filter, nil, "room"},
		{"highlights", "bob", "GET", "/sync", nil, "rooms.join." + k.Room + ".unread_notifications"},
		{"invitation", "bob", "GET", "/sync", nil, "rooms.invite.*.invite_state.events.*.content.name"},
		{"keys of a device", "alice", "POST", "/keys/query", o{"device_keys": o{k.Bob.UserID: []string{}}}, "device_keys"},
		{"backup", "bob", "GET", "/room_keys/version", nil, ""},
		{"a key in it", "bob", "GET", "/room_keys/keys?version=" + k.Backup, nil, ""},
		{"devices", "bob", "GET", "/devices", nil, "devices.~.device_id"},
		{"people", "alice", "POST", "/user_directory/search", o{"search_term": "bob"}, "results.*.user_id"},
	}
}

// answer asks, and gives the picked part of the answer as JSON with its keys in order.
func (k *told) answer(ctx context.Context, l look) (string, error) {
	who := &k.Bob
	if l.who == "alice" {
		who = &k.Alice
	}
	var whole any
	if err := who.Do(ctx, l.method, strings.Replace("/_matrix/client/v3"+l.path, "/v3/../", "/", 1), l.body, &whole); err != nil {
		return "", err
	}
	var out bytes.Buffer
	to := json.NewEncoder(&out)
	to.SetEscapeHTML(false)
	err := to.Encode(picked(whole, l.pick))
	return strings.TrimSpace(out.String()), err
}

// picked goes along a path into an answer.
func picked(v any, path string) any {
	if path == "" {
		return v
	}
	if rest, ok := strings.CutPrefix(path, "*"); ok {
		all := []any{}
		for _, e := range elements(v) {
			all = append(all, picked(e, strings.TrimPrefix(rest, ".")))
		}
		return all
	}
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		all := []string{}
		for _, e := range elements(v) {
			all = append(all, fmt.Sprint(picked(e, strings.TrimPrefix(rest, "."))))
		}
		slices.Sort(all)
		return all
	}
	of, _ := v.(map[string]any)
	for key, e := range of { // Why all are tried: a room's id has dots of its own
		if rest, ok := strings.CutPrefix(path, key); ok && (rest == "" || rest[0] == '.') {
			return picked(e, strings.TrimPrefix(rest, "."))
		}
	}
	return nil
}

// elements are those of a list, or of an object by the order of its keys.
func elements(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	of, _ := v.(map[string]any)
	var all []any
	for _, key := range slices.Sorted(maps.Keys(of)) {
		all = append(all, of[key])
	}
	return all
}
