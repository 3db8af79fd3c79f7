package federation

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/mx"
)

// lured is the room of an intruder's own.
func (i *intruder) lured() matrix.RoomID { return matrix.RoomID("!lured:" + string(i.name)) }

// lure has somebody at home try to join the intruder's room.
func (i *intruder) lure() {
	address := "/_matrix/client/v3/join/" + url.PathEscape(string(i.lured())) + "?via=" + url.QueryEscape(string(i.name))
	if err := i.alice.Do(i.t.Context(), "POST", address, map[string]any{}, nil); err == nil {
		i.t.Error("joined a room that is none")
	}
}

// endlessRoom answers to joins with a room of proper events that rest on what is never told, and more of it when it is asked for again.
func (i *intruder) endlessRoom() map[string]http.HandlerFunc {
	i.t.Helper()
	build := func(typ, key, content string, auth ...matrix.EventID) *matrix.Event {
		e, err := i.version.Build(matrix.Proto{RoomID: i.lured(), Sender: i.user, Type: typ, StateKey: &key, Content: json.RawMessage(content),
			PrevEvents: auth, AuthEvents: auth, Depth: 2, OriginServerTS: time.Now().UnixMilli()}, i.key)
		mx.Must(i.t, err)
		return e
	}
	create := build("m.room.create", "", `{"room_version":"11"}`)
	long := `{"text":"` + strings.Repeat("x", 60_000) + `"}`
	var events []*matrix.Event
	for k := range 600 {
		events = append(events, build("org.example.state", fmt.Sprint(k), long, create.ID, randomID()))
	}
	list := func(w http.ResponseWriter, name string) {
		_, _ = io.WriteString(w, `{"`+name+`":[`+string(create.JSON))
		for _, e := range events {
			if _, err := io.WriteString(w, ","+string(e.JSON)); err != nil {
				return
			}
		}
		block := strings.Repeat(`,{"type":"m.room.message","content":{"body":"`+strings.Repeat("x", 500)+`"}}`, 100)
		for {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}
	return map[string]http.HandlerFunc{
		"make_join": func(w http.ResponseWriter, r *http.Request) {
			user := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
			_ = json.NewEncoder(w).Encode(map[string]any{"room_version": "11", "event": map[string]any{"type": "m.room.member", "room_id": i.lured(),
				"sender": user, "state_key": user, "content": map[string]string{"membership": "join"}, "depth": 3, "origin_server_ts": 1,
				"prev_events": []matrix.EventID{create.ID}, "auth_events": []matrix.EventID{create.ID}}})
		},
		"send_join": func(w http.ResponseWriter, _ *http.Request) { list(w, "state") },
		"/state/":   func(w http.ResponseWriter, _ *http.Request) { list(w, "pdus") },
	}
}
