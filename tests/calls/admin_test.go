package calls

import (
	"net/http"
	"testing"
)

func TestAdministratorsSeeAndEndCalls(t *testing.T) {
	s := start(t)
	boss, alice := admin(t, s), register(t, s, "alice")
	room := alice.must("POST", "/_matrix/client/v3/createRoom", struct{}{})["room_id"].(string)
	_, jwt := alice.ask(room)
	_, h, err := alice.join(jwt)
	if err != nil {
		t.Fatal(err)
	}
	const all = "/_rempart/admin/v1/calls"
	until(t, "somebody is in a call", func() bool { return boss.must("GET", all, nil)["participants"] == 1.0 })
	out := boss.must("GET", all, nil)
	first := out["calls"].([]any)[0].(map[string]any)
	there := first["participants"].([]any)[0].(map[string]any)
	if out["participants"] != 1.0 || first["room_id"] != room || there["user_id"] != alice.user || there["device_id"] != alice.device {
		t.Errorf("%v", out)
	}
	for path, method := range map[string]string{all: "GET", all + "/" + room + "/end": "POST"} {
		if status, _ := alice.call(method, path, struct{}{}); status != http.StatusForbidden {
			t.Errorf("%s by somebody: %d", path, status)
		}
	}
	if out := boss.must("POST", all+"/"+room+"/end", struct{}{}); out["ended"] != 1.0 {
		t.Errorf("%v", out)
	}
	wait(t, "end of the connection", 1, h.gone)
	until(t, "nobody is in a call", func() bool { return boss.must("GET", all, nil)["participants"] == 0.0 })
}
