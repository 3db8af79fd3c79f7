package federation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"rempart/federation/client"
	"rempart/federation/inbound"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// stranger sends anything to every route of the federation, rightly signed by a server that is in a room.
type stranger struct {
	*peer
	t           *testing.T
	http        *http.Client
	to          *live.Server
	dice        *rand.Rand
	words       []string
	sent, taken int
}

// TestFederationStandsAnyBody: whatever a server in good standing sends, nothing panics or answers 500.
func TestFederationStandsAnyBody(t *testing.T) {
	rounds := 12
	if os.Getenv("REMPART_PROVE") == "1" {
		rounds = 300
	}
	ca := fakenet.NewCA(t)
	s := live.Start(t, live.Options{CA: ca})
	f := &stranger{peer: newPeer(t, ca, nil), t: t, to: s, dice: rand.New(rand.NewSource(5))}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = ca.Pool()
	t.Cleanup(transport.CloseIdleConnections)
	f.http = &http.Client{Transport: transport}
	alice, err := mx.Register(t.Context(), s.URL, "alice")
	mx.Must(t, err)
	room, err := alice.CreateRoom(t.Context(), map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	said, err := alice.Send(t.Context(), room, "1", "x")
	mx.Must(t, err)
	f.words = []string{room, said, alice.UserID, "@x:" + string(f.name), string(f.name), s.Name, alice.DeviceID, "#x:" + s.Name,
		"", "x", "join", "m.room.member", "m.room.message", "m.typing", "m.receipt", "m.direct_to_device", "m.device_list_update", "m.presence",
		"m.signing_key_update", "signed_curve25519", "0", "-1", "$a", "!a:b", "@a:b", "\x00", "☃", strings.Repeat("y", 300)}
	f.join(matrix.RoomID(room), matrix.UserID("@x:"+string(f.name)))
	routes := httpx.New(httpx.Options{})
	inbound.Register(routes, inbound.Deps{})
	for _, r := range routes.Routes() {
		for i := range rounds {
			f.try(r, i)
		}
	}
	t.Logf("%d requests, %d of them to an end", f.sent, f.taken)
	if f.taken < f.sent/20 {
		t.Errorf("only %d of %d requests got as far as a 200: nothing is tested behind the checks", f.taken, f.sent)
	}
	_, err = alice.Send(t.Context(), room, "2", "still here")
	mx.Must(t, err)
}

// join enters a room, so that more than the door is tested.
func (f *stranger) join(room matrix.RoomID, user matrix.UserID) {
	f.t.Helper()
	ctx, to := f.t.Context(), matrix.ServerName(f.to.Name)
	tmpl, err := f.MakeJoin(ctx, f.name, to, room, user, []string{"10", "11", "12"})
	mx.Must(f.t, err)
	var e struct {
		Content json.RawMessage
		Prev    []matrix.EventID `json:"prev_events"`
		Auth    []matrix.EventID `json:"auth_events"`
		Depth   int64
	}
	mx.Must(f.t, json.Unmarshal(tmpl.Event, &e))
	version, _ := matrix.Version(tmpl.RoomVersion)
	key := string(user)
	built, err := version.Build(matrix.Proto{RoomID: room, Sender: user, Type: "m.room.member", StateKey: &key, Content: e.Content,
		PrevEvents: e.Prev, AuthEvents: e.Auth, Depth: e.Depth, OriginServerTS: time.Now().UnixMilli()}, f.key)
	mx.Must(f.t, err)
	_, err = f.SendJoin(ctx, f.name, to, room, built.ID, built.JSON, false, nil)
	mx.Must(f.t, err)
}

// try sends one request: the first rounds whole nonsense, then objects of fields that exist.
func (f *stranger) try(r httpx.RouteInfo, round int) {
	f.t.Helper()
	fit := map[string]int{"{roomID}": 0, "{eventID}": 1, "{userID}": 2}
	path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(r.Pattern, func(name string) string {
		n, ok := fit[name]
		if !ok || round%5 == 4 {
			n = f.dice.Intn(len(f.words))
		}
		return url.PathEscape(f.words[n])
	})
	query := url.Values{}
	for range f.dice.Intn(5) {
		names := []string{"v", "limit", "ver", "event_id", "user_id", "field", "room_alias", "ts", "dir", "width", "height", "method", "access_token", "since"}
		query.Set(names[f.dice.Intn(len(names))], f.words[f.dice.Intn(len(f.words))])
	}
	body := f.object(3)
	if whole := []string{``, `null`, `[]`, `{"a":`, strings.Repeat(`{"a":`, 2000), `{}`}; round < len(whole) {
		body = whole[round]
	}
	if r.Method == http.MethodGet {
		body = ""
	}
	status, answer := f.ask(r.Method, path+"?"+query.Encode(), body)
	if f.sent++; status == http.StatusOK {
		f.taken++
	}
	if status >= 500 && status != http.StatusBadGateway && status != http.StatusGatewayTimeout && status != http.StatusNotImplemented {
		f.t.Errorf("%s %s with %.500q: %d %s", r.Method, path, body, status, answer)
	}
}

func (f *stranger) ask(method, uri, body string) (int, []byte) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), mx.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+f.to.Name+uri, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	var signed []byte
	if json.Valid([]byte(body)) {
		signed = []byte(body)
	}
	if header, err := client.Authorization(f.key, matrix.ServerName(f.to.Name), method, req.URL.RequestURI(), signed); err == nil {
		req.Header.Set("Authorization", header)
	}
	res, err := f.http.Do(req)
	if err != nil {
		f.t.Fatalf("%s %s with %.300q: %v", method, uri, body, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	mx.Must(f.t, err)
	return res.StatusCode, answer
}

// object is a JSON object of fields that requests have.
func (f *stranger) object(depth int) string {
	names := []string{"pdus", "edus", "origin", "origin_server_ts", "edu_type", "content", "type", "sender", "room_id", "state_key", "event_id",
		"depth", "prev_events", "auth_events", "hashes", "signatures", "event", "room_version", "invite_room_state", "device_keys",
		"one_time_keys", "messages", "user_id", "device_id", "stream_id", "prev_id", "deleted", "keys", "m.read", "event_ids", "data", "push",
		"limit", "min_depth", "latest_events", "earliest_events", "membership", "filter", "since", "generic_search_term", "server_keys"}
	fields := map[string]json.RawMessage{}
	for range f.dice.Intn(10) {
		name := names[f.dice.Intn(len(names))]
		if f.dice.Intn(6) == 0 {
			name = f.words[f.dice.Intn(len(f.words))]
		}
		fields[name] = json.RawMessage(f.value(depth))
	}
	out, err := json.Marshal(fields)
	mx.Must(f.t, err)
	return string(out)
}

func (f *stranger) value(depth int) string {
	switch n := f.dice.Intn(12); {
	case n < 5 || depth == 0:
		text, _ := json.Marshal(f.words[f.dice.Intn(len(f.words))])
		return string(text)
	case n == 5:
		return []string{"0", "1", "-1", "1.5", "1e99", "9007199254740993"}[f.dice.Intn(6)]
	case n == 6:
		return []string{"true", "false", "null"}[f.dice.Intn(3)]
	case n < 10:
		return fmt.Sprintf("[%s,%s]", f.value(depth-1), f.object(depth-1))
	}
	return f.object(depth - 1)
}
