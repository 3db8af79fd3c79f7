package api

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"testing"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// The small operations that no other test looks at: what they answer, and what they refuse.
func TestSmallOperations(t *testing.T) {
	ctx := t.Context()
	s := live.Start(t, live.Options{CA: fakenet.NewCA(t), Env: []string{"REMPART_REGISTRATION_TOKENS=welcome",
		"REMPART_SUPPORT_PAGE=https://help.example.org"}})
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	const v3 = "/_matrix/client/v3"
	refused := func(method, path string, body any, status int, code string) {
		t.Helper()
		var e *mx.Error
		if err := alice.Do(ctx, method, path, body, nil); !errors.As(err, &e) || e.Status != status || e.Code != code {
			t.Errorf("%s %s: %v, want %d %s", method, path, err, status, code)
		}
	}
	number := map[string]any{"client_secret": "s", "country": "FR", "phone_number": "0612345678", "send_attempt": 1}
	refused("POST", v3+"/register/msisdn/requestToken", number, 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")
	refused("POST", v3+"/account/password/msisdn/requestToken", number, 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")
	refused("POST", v3+"/account/3pid", map[string]any{"three_pid_creds": map[string]string{"sid": "none", "client_secret": "s"}},
		400, "M_THREEPID_MEDIUM_NOT_SUPPORTED") // it sends no letters

	var unbound map[string]string
	mx.Must(t, alice.Do(ctx, "POST", v3+"/account/3pid/unbind", map[string]string{"medium": "email", "address": "a@b.org"}, &unbound))
	if unbound["id_server_unbind_result"] != "no-support" {
		t.Errorf("unbind: %v", unbound)
	}
	for token, want := range map[string]bool{"welcome": true, "other": false} {
		var got struct{ Valid *bool }
		mx.Must(t, alice.Do(ctx, "GET", "/_matrix/client/v1/register/m.login.registration_token/validity?token="+token, nil, &got))
		if got.Valid == nil || *got.Valid != want {
			t.Errorf("token %s: %v, want %v", token, got.Valid, want)
		}
	}
	var support struct {
		Page string `json:"support_page"`
	}
	mx.Must(t, alice.Do(ctx, "GET", "/.well-known/matrix/support", nil, &support))
	if support.Page != "https://help.example.org" {
		t.Errorf("support: %q", support.Page)
	}
	var protects struct {
		Keys map[string]string `json:"public_keys"`
	}
	mx.Must(t, alice.Do(ctx, "GET", "/.well-known/matrix/policy_server", nil, &protects))
	if protects.Keys["ed25519"] == "" {
		t.Errorf("the key of the policy server: %v", protects.Keys)
	}
}

// The paths of media from before they needed a token go on serving what is ours.
func TestOldPathsOfMedia(t *testing.T) {
	s := live.Start(t, live.Options{})
	alice, err := mx.Register(t.Context(), s.URL, "alice")
	mx.Must(t, err)
	var picture bytes.Buffer
	mx.Must(t, png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 200, 100))))
	ask := func(method, path, token string, body io.Reader) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
		mx.Must(t, err)
		req.Header.Set("Content-Type", "image/png")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		mx.Must(t, err)
		defer func() { _ = res.Body.Close() }()
		raw, err := io.ReadAll(res.Body)
		mx.Must(t, err)
		return res, raw
	}
	_, raw := ask("POST", "/_matrix/media/v3/upload?filename=a.png", alice.Token, bytes.NewReader(picture.Bytes()))
	const before = `{"content_uri":"mxc://`
	if !bytes.HasPrefix(raw, []byte(before)) {
		t.Fatalf("upload: %s", raw)
	}
	at := "/" + string(raw[len(before):bytes.LastIndexByte(raw, '"')])
	res, raw := ask("GET", "/_matrix/media/v3/download"+at+"/other%20name.png", "", nil)
	if res.StatusCode != 200 || !bytes.Equal(raw, picture.Bytes()) || res.Header.Get("Content-Disposition") != `inline; filename="other name.png"` {
		t.Errorf("download by another name: %d, %d bytes, %q", res.StatusCode, len(raw), res.Header.Get("Content-Disposition"))
	}
	res, raw = ask("GET", "/_matrix/media/v3/thumbnail"+at+"?width=32&height=32&method=crop", "", nil)
	small, err := png.Decode(bytes.NewReader(raw))
	if res.StatusCode != 200 || err != nil || small.Bounds().Dx() != 32 || small.Bounds().Dy() != 32 {
		t.Errorf("thumbnail: %d, %v", res.StatusCode, err)
	}
}
