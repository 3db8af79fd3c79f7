package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// picture sends an image that the other side fetches whole and small.
func picture(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, nil)
	var raw bytes.Buffer
	mx.Must(t, png.Encode(&raw, image.NewRGBA(image.Rect(0, 0, 200, 100))))
	for _, d := range [][2]*person{{alice, bob}, {bob, alice}} {
		status, body, _ := d[0].fetch(t, "POST", "/_matrix/media/v3/upload?filename=map.png", raw.Bytes())
		var up struct {
			URI string `json:"content_uri"`
		}
		if err := json.Unmarshal(body, &up); err != nil || status != 200 {
			t.Fatalf("upload: %d %s", status, body)
		}
		path := "/rooms/" + url.PathEscape(room) + "/send/m.room.message/picture"
		d[0].call(t, "PUT", path, map[string]any{"msgtype": "m.image", "body": "map.png", "url": up.URI}, nil)
		d[1].hears(t, room, "m.image", up.URI)
		media := "/_matrix/client/v1/media/"
		status, body, head := d[1].fetch(t, "GET", media+"download/"+strings.TrimPrefix(up.URI, "mxc://"), nil)
		if status != 200 || !bytes.Equal(body, raw.Bytes()) || head.Get("Content-Type") != "image/png" {
			t.Errorf("download: %d, %d bytes of %d, %v", status, len(body), raw.Len(), head)
		}
		status, body, head = d[1].fetch(t, "GET", media+"thumbnail/"+strings.TrimPrefix(up.URI, "mxc://")+"?width=32&height=32&method=scale", nil)
		if status != 200 || !strings.HasPrefix(head.Get("Content-Type"), "image/") {
			t.Errorf("thumbnail: %d %v, %d bytes", status, head, len(body))
		}
	}
}

func (p *person) fetch(t *testing.T, method, path string, body []byte) (int, []byte, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, bytes.NewReader(body))
	mx.Must(t, err)
	req.Header.Set("Authorization", "Bearer "+p.Token)
	if body != nil {
		req.Header.Set("Content-Type", "image/png")
	}
	res, err := http.DefaultClient.Do(req)
	mx.Must(t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	mx.Must(t, err)
	return res.StatusCode, answer, res.Header
}

func typingAndReceipts(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, nil)
	for _, d := range [][2]*person{{alice, bob}, {bob, alice}} {
		id := d[0].says(t, room, "read me")
		d[1].hears(t, room, id)
		d[1].call(t, "POST", "/rooms/"+url.PathEscape(room)+"/receipt/m.read/"+url.PathEscape(id), map[string]any{}, nil)
		d[0].hears(t, room, "m.receipt", id, d[1].UserID)
		d[1].call(t, "PUT", "/rooms/"+url.PathEscape(room)+"/typing/"+url.PathEscape(d[1].UserID), map[string]any{"typing": true, "timeout": 30000}, nil)
		d[0].hears(t, room, "m.typing", d[1].UserID)
	}
}

func profilesAndAliases(t *testing.T, version string, host, guest *side) {
	alice, bob := host.newPerson(t, "alice"), guest.newPerson(t, "bob")
	name := fmt.Sprintf("hall%d", people.Add(1))
	room := alice.creates(t, version, map[string]any{"room_alias_name": name, "name": "Hall " + name, "visibility": "public"})
	bob.joins(t, "#"+name+":"+host.name, host)
	alice.call(t, "PUT", "/profile/"+url.PathEscape(alice.UserID)+"/displayname", map[string]string{"displayname": "Alice of " + name}, nil)
	bob.hears(t, room, "Alice of "+name)
	var profile struct{ Displayname string }
	bob.call(t, "GET", "/profile/"+url.PathEscape(alice.UserID), nil, &profile)
	if profile.Displayname != "Alice of "+name {
		t.Errorf("profile: %q", profile.Displayname)
	}
	for term, want := range map[string]bool{name: true, "cellar" + name: false} {
		var list json.RawMessage
		bob.call(t, "POST", "/publicRooms?server="+url.QueryEscape(host.name), map[string]any{"filter": map[string]string{"generic_search_term": term}}, &list)
		if bytes.Contains(list, []byte(room)) != want {
			t.Errorf("directory, %q: %s", term, list)
		}
	}
	agree(t, room, alice, bob)
}
