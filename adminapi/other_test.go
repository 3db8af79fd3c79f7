package adminapi_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rempart/storage"
)

// upload stores a file and gives its media id.
func (s *server) upload(token, content string) string {
	s.t.Helper()
	req := httptest.NewRequestWithContext(s.t.Context(), "POST", "/_matrix/media/v3/upload?filename=a.txt", bytes.NewReader([]byte(content)))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "text/plain")
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, req)
	var out struct {
		URI string `json:"content_uri"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		s.t.Fatal(w.Code, w.Body)
	}
	return strings.TrimPrefix(out.URI, "mxc://hs1/")
}

// served reports whether a file can be downloaded.
func (s *server) served(token, id string) bool {
	s.t.Helper()
	return s.do("GET", "/_matrix/client/v1/media/download/hs1/"+id+"?timeout_ms=0", token, "").status == 200
}

func TestMedia(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		one, twin, kept, shared := s.upload(alice, "one"), s.upload(alice, "one"), s.upload(alice, "kept"), s.upload(alice, "shared")
		room := s.createRoom(alice, `{}`)
		s.as(alice, "PUT", v3+"/rooms/"+esc(room)+"/send/m.room.message/1", `{"msgtype":"m.file","body":"f","url":"mxc://hs1/`+shared+`"}`)
		s.as(alice, "PUT", v3+"/rooms/"+esc(room)+"/send/m.room.message/2", `{"msgtype":"m.file","body":"f","url":"mxc://elsewhere/abc"}`)
		s.is("GET", v1+"/room/"+esc(room)+"/media", "", "local", []string{"mxc://hs1/" + shared})
		s.is("GET", v1+"/room/"+esc(room)+"/media", "", "remote", []string{"mxc://elsewhere/abc"})
		list := s.ok("GET", v1+"/users/@alice:hs1/media?order_by=media_length&limit=3", "")
		if list.at("total") != 4.0 || list.at("next_token") != 3.0 || len(list.at("media").([]any)) != 3 {
			t.Error(list.raw)
		}
		s.fails("GET", v1+"/users/@alice:hs1/media?order_by=shoe", "", 400, "M_INVALID_PARAM")
		s.is("GET", v1+"/media/hs1/"+one, "", "media_info.media_length", 3)
		s.fails("GET", v1+"/media/hs1/none", "", 404, "M_NOT_FOUND")
		s.is("GET", v1+"/statistics/users/media", "", "users", []any{map[string]any{"displayname": nil, "media_count": 4, "media_length": 16, "user_id": "@alice:hs1"}})
		s.is("GET", v1+"/statistics/users/media?search_term=nobody", "", "total", 0)

		s.ok("POST", v1+"/media/quarantine/hs1/"+one, `{}`)
		s.recorded("media.quarantine")
		if s.served(alice, one) || s.served(alice, twin) || !s.served(alice, kept) {
			t.Error("the wrong files are locked away")
		}
		s.is("GET", v1+"/media/hs1/"+one, "", "media_info.quarantined_by", "@boss:hs1")
		s.ok("POST", v1+"/media/unquarantine/hs1/"+one, `{}`)
		if !s.served(alice, one) || !s.served(alice, twin) {
			t.Error("what was given back is not served")
		}
		s.ok("POST", v1+"/media/protect/"+shared, `{}`)
		s.is("POST", v1+"/room/"+esc(room)+"/media/quarantine", `{}`, "num_quarantined", 0)
		s.ok("POST", v1+"/media/unprotect/"+shared, `{}`)
		s.fails("POST", v1+"/media/protect/none", `{}`, 404, "M_NOT_FOUND")
		s.is("POST", v1+"/room/"+esc(room)+"/media/quarantine", `{}`, "num_quarantined", 1)
		s.ok("POST", v1+"/media/protect/"+kept, `{}`)
		s.is("POST", v1+"/user/@alice:hs1/media/quarantine", `{}`, "num_quarantined", 2)
		if !s.served(alice, kept) || s.served(alice, twin) {
			t.Error("the wrong files are locked away")
		}

		s.is("DELETE", v1+"/media/hs1/"+one, `{}`, "deleted_media", []string{one})
		s.fails("DELETE", v1+"/media/hs1/"+one, `{}`, 404, "M_NOT_FOUND")
		s.fails("DELETE", v1+"/media/elsewhere/abc", `{}`, 400, "M_INVALID_PARAM")
		s.fails("POST", v1+"/media/delete", `{}`, 400, "M_MISSING_PARAM")
		s.fails("POST", v1+"/media/delete?before_ts=1000", `{}`, 400, "M_INVALID_PARAM")
		s.ok("PUT", v2+"/users/@alice:hs1", `{"avatar_url":"mxc://hs1/`+kept+`"}`)
		s.is("POST", v1+"/media/delete?before_ts=4000000000000&size_gt=3", `{}`, "deleted_media", []string{shared})
		s.is("POST", v1+"/media/delete?before_ts=4000000000000&keep_profiles=false&size_gt=3", `{}`, "deleted_media", []string{kept})
		s.is("POST", v1+"/purge_media_cache?before_ts=4000000000000", `{}`, "deleted", 0)
		s.is("DELETE", v1+"/users/@alice:hs1/media", `{}`, "deleted_media", []string{twin})
		if s.is("GET", v1+"/users/@alice:hs1/media", "", "total", 0); s.served(alice, kept) {
			t.Error("a deleted file is served")
		}
	})
}

func TestReports(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		room := s.createRoom(alice, `{"preset":"public_chat","name":"Agora"}`)
		s.join(bob, room)
		bad := s.send(bob, room, "bad")
		s.as(alice, "POST", v3+"/rooms/"+esc(room)+"/report/"+esc(bad), `{"reason":"rude","score":-50}`)
		s.as(alice, "POST", v3+"/users/@bob:hs1/report", `{"reason":"rude too"}`)
		list := s.ok("GET", v1+"/event_reports", "")
		one := list.at("event_reports").([]any)[0].(map[string]any)
		for member, want := range map[string]any{"event_id": bad, "room_id": room, "name": "Agora", "user_id": "@alice:hs1", "sender": "@bob:hs1",
			"reason": "rude", "score": -50.0} {
			if one[member] != want {
				t.Errorf("%s is %v, want %v", member, one[member], want)
			}
		}
		for query, want := range map[string]int{"?user_id=@alice:hs1": 1, "?user_id=@bob:hs1": 0, "?user_id=@no:hs1": 0, "?room_id=" + esc(room): 1,
			"?room_id=!x:y": 0, "?event_sender_user_id=@bob:hs1": 1, "?dir=f": 1} {
			s.is("GET", v1+"/event_reports"+query, "", "total", want)
		}
		id := jsonText(one["id"])
		s.is("GET", v1+"/event_reports/"+id, "", "event_json.content.body", "bad")
		s.fails("GET", v1+"/user_reports/"+id, "", 404, "M_NOT_FOUND")
		s.ok("DELETE", v1+"/event_reports/"+id, `{}`)
		s.recorded("report.close")
		s.fails("DELETE", v1+"/event_reports/"+id, `{}`, 404, "M_NOT_FOUND")
		s.fails("GET", v1+"/event_reports/x", "", 400, "M_INVALID_PARAM")
		s.is("GET", v1+"/event_reports", "", "total", 0)
		user := s.ok("GET", v1+"/user_reports?target_user_id=@bob:hs1", "").at("user_reports").([]any)[0].(map[string]any)
		if user["target_user_id"] != "@bob:hs1" || user["user_id"] != "@alice:hs1" || user["reason"] != "rude too" {
			t.Error(user)
		}
		s.ok("GET", v1+"/user_reports/"+jsonText(user["id"]), "")
		s.ok("DELETE", v1+"/user_reports/"+jsonText(user["id"]), "")
		s.is("GET", v1+"/user_reports", "", "total", 0)
	})
}

func jsonText(v any) string {
	b, _ := json.Marshal(int64(v.(float64)))
	return string(b)
}

func TestRegistrationTokens(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const all = v1 + "/registration_tokens"
		made := s.ok("POST", all+"/new", `{}`)
		if name := made.at("token").(string); len(name) != 16 || made.at("uses_allowed") != nil || made.at("expiry_time") != nil {
			t.Error(made.raw)
		}
		s.is("POST", all+"/new", `{"token":"abc","uses_allowed":2,"expiry_time":4000000000000}`, "uses_allowed", 2)
		s.recorded("token.create")
		for _, body := range []string{`{"token":"abc"}`, `{"token":"ä"}`, `{"token":""}`, `{"length":65}`, `{"length":0}`, `{"uses_allowed":-1}`, `{"expiry_time":1}`} {
			s.fails("POST", all+"/new", body, 400, "M_INVALID_PARAM")
		}
		s.is("GET", all+"/abc", "", "expiry_time", 4000000000000)
		s.is("PUT", all+"/abc", `{"uses_allowed":0}`, "expiry_time", 4000000000000)
		if valid := s.ok("GET", all+"?valid=true", ""); strings.Contains(valid.raw, `"abc"`) {
			t.Error(valid.raw)
		}
		if worn := s.ok("GET", all+"?valid=false", ""); !strings.Contains(worn.raw, `"abc"`) {
			t.Error(worn.raw)
		}
		s.is("PUT", all+"/abc", `{"uses_allowed":null,"expiry_time":null}`, "expiry_time", nil)
		s.ok("DELETE", all+"/abc", ``)
		s.fails("GET", all+"/abc", "", 404, "M_NOT_FOUND")
		s.fails("PUT", all+"/abc", `{}`, 404, "M_NOT_FOUND")
		s.fails("DELETE", all+"/abc", ``, 404, "M_NOT_FOUND")
	})
}

func TestDestinations(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := &storage.Change{}
		now := time.Now().UnixMilli()
		c.Add(&storage.DestinationRow{Destination: storage.Destination{Origin: "hs1", Server: "good.example", Pos: 7, Success: now}},
			&storage.DestinationRow{Destination: storage.Destination{Origin: "hs1", Server: "bad.example", Since: now - 1000, Retry: now + 60000, Reason: "refused"}},
			&storage.DestinationRow{Destination: storage.Destination{Origin: "another", Server: "good.example", Pos: 9}})
		if err := s.db.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		const all = v1 + "/federation/destinations"
		s.is("GET", all, "", "total", 2)
		s.is("GET", all+"?destination=GOOD", "", "total", 1)
		s.is("GET", all+"?limit=1", "", "next_token", "1")
		s.is("GET", all+"/good.example", "", "failure_ts", nil)
		s.is("GET", all+"/good.example", "", "last_successful_stream_ordering", 7)
		s.is("GET", all+"/bad.example", "", "retry_interval", 61000)
		s.fails("GET", all+"/none.example", "", 404, "M_NOT_FOUND")
		s.is("GET", all+"/good.example/rooms", "", "rooms", []any{})
		s.fails("POST", all+"/good.example/reset_connection", `{}`, 400, "M_UNKNOWN")
		s.ok("POST", all+"/bad.example/reset_connection", `{}`)
		s.recorded("federation.retry")
		s.is("GET", all+"/bad.example", "", "retry_interval", 0)
		for _, order := range []string{"destination", "retry_last_ts", "retry_interval", "failure_ts", "last_successful_stream_ordering"} {
			s.ok("GET", all+"?dir=b&order_by="+order, "")
		}
		s.ok("GET", v1+"/statistics/database/rooms", "")
	})
}

func TestServerNotices(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		const say = `{"user_id":"@alice:hs1","content":{"msgtype":"m.text","body":"Maintenance"}}`
		event := s.ok("POST", v1+"/send_server_notice", say).body["event_id"].(string)
		s.recorded("notice.send")
		first := s.as(alice, "GET", v3+"/sync", "")
		var room string
		for id := range first.at("rooms.invite").(map[string]any) {
			room = id
		}
		if a := s.do("POST", v3+"/rooms/"+esc(room)+"/leave", alice, `{}`); a.status != 403 || a.at("errcode") != "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM" {
			t.Error(a.raw)
		}
		if a := s.do("PUT", v3+"/rooms/"+esc(room)+"/state/m.room.member/@alice:hs1", alice, `{"membership":"leave"}`); a.at("errcode") != "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM" {
			t.Error(a.raw)
		}
		s.join(alice, room)
		if a := s.as(alice, "GET", v3+"/user/@alice:hs1/rooms/"+esc(room)+"/tags", ""); a.body["tags"].(map[string]any)["m.server_notice"] == nil {
			t.Error(a.raw)
		}
		if a := s.as(alice, "GET", v3+"/rooms/"+esc(room)+"/event/"+esc(event), ""); a.at("sender") != "@_server:hs1" {
			t.Error(a.raw)
		}
		if a := s.do("PUT", v3+"/rooms/"+esc(room)+"/send/m.room.message/1", alice, `{"body":"x"}`); a.status != 403 {
			t.Error("a user speaks in the room of notices:", a.raw)
		}
		s.as(alice, "POST", v3+"/rooms/"+esc(room)+"/leave", `{}`)
		one := s.ok("PUT", v1+"/send_server_notice/t1", say).at("event_id")
		s.is("PUT", v1+"/send_server_notice/t1", say, "event_id", one)
		if again := s.as(alice, "GET", v3+"/sync", ""); again.at("rooms.invite").(map[string]any)[room] == nil {
			t.Error("the second notice made another room:", again.raw)
		}
		s.fails("POST", v1+"/send_server_notice", `{}`, 400, "M_MISSING_PARAM")
		s.fails("POST", v1+"/send_server_notice", `{"user_id":"@alice:hs1"}`, 400, "M_MISSING_PARAM")
		s.fails("POST", v1+"/send_server_notice", `{"user_id":"@none:hs1","content":{}}`, 404, "M_NOT_FOUND")
		if a := s.do("POST", v3+"/login", "", `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"_server"},"password":""}`); a.status == 200 {
			t.Error("somebody logs in as the server:", a.raw)
		}
	})
}
