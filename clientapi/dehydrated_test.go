package clientapi_test

import (
	"strings"
	"testing"
)

func TestDehydratedDeviceOutlivesItsUsersSessions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const path = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
		token, _ := s.register("alice")
		s.fails("GET", path, token, "", 404, "M_NOT_FOUND")
		user := s.ok("GET", v3+"/account/whoami", token, "").body["user_id"].(string)
		device := `{"device_id":"a/b+c","device_data":{"algorithm":"org.matrix.msc3814.v2","device_pickle":"x"},
			"device_keys":{"user_id":"` + user + `","device_id":"a/b+c","dehydrated":true,"algorithms":[],"keys":{}}}`
		s.ok("PUT", path, token, device)
		if a := s.ok("POST", path+"/a%2Fb+c/events", token, `{}`); a.raw != `{"events":[],"next_batch":""}` {
			t.Error(a.raw)
		}
		bob, _ := s.register("bob")
		s.ok("PUT", v3+"/sendToDevice/m.test/1", bob, `{"messages":{"`+user+`":{"a/b+c":{"n":1}}}}`)
		s.ok("POST", v3+"/logout", token, "")

		login := func() string {
			a := s.ok("POST", v3+"/login", "", `{"type":"m.login.password","user":"alice","password":"secret"}`)
			return a.body["access_token"].(string)
		}
		token = login()
		if a := s.ok("GET", path, token, ""); a.body["device_id"] != "a/b+c" {
			t.Error(a.raw)
		}
		a := s.ok("GET", path+"/a%2Fb+c/events", token, "")
		next, _ := a.body["next_batch"].(string)
		if !strings.Contains(a.raw, `{"type":"m.test","sender":"@bob:`) || next == "" {
			t.Error(a.raw)
		}
		if a := s.ok("GET", path+"/a%2Fb+c/events?from="+next, token, ""); a.raw != `{"events":[]}` {
			t.Error(a.raw)
		}
		if a := s.ok("POST", path+"/a%2Fb+c/events", token, `{"next_batch":"`+next+`"}`); a.raw != `{"events":[],"next_batch":"`+next+`"}` {
			t.Error(a.raw)
		}
		s.fails("GET", path+"/OTHER/events", token, "", 403, "M_FORBIDDEN")
		s.fails("GET", path+"/a%2Fb+c/events", bob, "", 403, "M_FORBIDDEN")

		s.ok("POST", v3+"/account/password", token, `{"new_password":"another secret","logout_devices":true,
			"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"secret"}}`)
		s.ok("GET", path, token, "")
		s.ok("POST", v3+"/logout/all", token, "")
		token = s.ok("POST", v3+"/login", "", `{"type":"m.login.password","user":"alice","password":"another secret"}`).body["access_token"].(string)
		s.fails("GET", path, token, "", 404, "M_NOT_FOUND")
	})
}
