package mediaapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rempart/core/media"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/mediaapi"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// server is the media API on one database, behind a listener.
type server struct {
	*httptest.Server
	t   testing.TB
	log *bytes.Buffer
}

// tokens knows two users by their tokens.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, token string, _ *http.Request) (matrix.Caller, error) {
	switch token {
	case "alice-secret":
		return matrix.Caller{Tenant: 1, User: "@alice:hs1", UserNID: 1, Server: "hs1"}, nil
	case "bob-secret":
		return matrix.Caller{Tenant: 1, User: "@bob:hs1", UserNID: 2, Server: "hs1"}, nil
	}
	return matrix.Caller{}, matrix.UnknownToken(false)
}

const limit = 1 << 20

func each(t *testing.T, legacy bool, fn func(s *server)) {
	t.Helper()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		disk, err := media.NewDisk(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		m := media.New(t.Context(), media.Options{DB: db, Store: disk, MaxUpload: limit, ImageBytes: 64 << 20,
			Local: func(name matrix.ServerName) bool { return name == "hs1" }})
		log := &bytes.Buffer{}
		r := httpx.New(httpx.Options{Auth: tokens{}, TokenInQuery: true, MaxBody: 4096,
			Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		mediaapi.Register(r, mediaapi.Deps{Media: m, MaxUpload: limit, Legacy: legacy})
		s := &server{httptest.NewServer(r), t, log}
		t.Cleanup(func() { s.Close(); m.Close() })
		fn(s)
	})
}

type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

func (s *server) do(method, path, token string, header map[string]string, body io.Reader) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		s.t.Fatal(err)
	}
	_ = json.Unmarshal(a.body, &a.json)
	return a
}

// upload uploads and answers "/hs1/ID".
func (s *server) upload(kind, query, content string) string {
	s.t.Helper()
	a := s.do("POST", "/_matrix/media/v3/upload"+query, "alice-secret", map[string]string{"Content-Type": kind}, strings.NewReader(content))
	uri, _ := a.json["content_uri"].(string)
	path, ok := strings.CutPrefix(uri, "mxc:/")
	if a.status != 200 || !ok {
		s.t.Fatalf("upload: %d %s", a.status, a.body)
	}
	return path
}

func (s *server) fails(a answer, status int, code string) {
	s.t.Helper()
	if a.status != status || a.json["errcode"] != code {
		s.t.Errorf("%d %s, want %d %s", a.status, a.body, status, code)
	}
}

const v1 = "/_matrix/client/v1/media"

func TestDownload(t *testing.T) {
	each(t, true, func(s *server) {
		path := s.upload("text/plain", "?filename=a%20b.txt", "0123456789")
		a := s.do("GET", v1+"/download"+path, "bob-secret", nil, nil)
		for name, want := range map[string]string{
			"Content-Type": "text/plain", "Content-Disposition": `inline; filename="a b.txt"`, "Content-Length": "10",
			"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "cross-origin", "Access-Control-Allow-Origin": "*",
			"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=86400", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';",
		} {
			if a.header.Get(name) != want {
				s.t.Errorf("%s: %q, want %q", name, a.header.Get(name), want)
			}
		}
		if a.status != 200 || string(a.body) != "0123456789" {
			s.t.Errorf("%d %q", a.status, a.body)
		}
		for _, c := range []struct {
			ranges, body string
			status       int
		}{
			{"bytes=2-4", "234", 206}, {"bytes=7-", "789", 206}, {"bytes=-2", "89", 206}, {"lines=2-4", "0123456789", 200},
			{"bytes=20-", "", 416}, {"bytes=a", "", 416}, {"bytes=4-2", "", 416},
		} {
			a := s.do("GET", v1+"/download"+path, "bob-secret", map[string]string{"Range": c.ranges}, nil)
			if a.status != c.status || c.body != "" && string(a.body) != c.body || c.status == 416 && a.json["errcode"] != "M_INVALID_PARAM" {
				s.t.Errorf("%s: %d %q", c.ranges, a.status, a.body)
			}
		}
		if a := s.do("GET", v1+"/download"+path, "bob-secret", map[string]string{"If-None-Match": a.header.Get("ETag")}, nil); a.status != 304 {
			s.t.Errorf("asked again: %d", a.status)
		}
		if a := s.do("GET", v1+"/download"+path+"/%E2%98%95.txt", "bob-secret", nil, nil); a.header.Get("Content-Disposition") != "inline; filename*=utf-8''%E2%98%95.txt" {
			s.t.Errorf("renamed: %q", a.header.Get("Content-Disposition"))
		}
	})
}

func TestWhoMayAsk(t *testing.T) {
	each(t, true, func(s *server) {
		path := s.upload("image/png", "", "x")
		for _, at := range []string{"/download" + path, "/download" + path + "/a.png", "/thumbnail" + path + "?width=1&height=1", "/config"} {
			s.fails(s.do("GET", v1+at, "", nil, nil), 401, matrix.CodeMissingToken)
			s.fails(s.do("GET", v1+at, "stale-secret", nil, nil), 401, matrix.CodeUnknownToken)
		}
		for _, home := range []string{"/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"} {
			if a := s.do("GET", home+"/download"+path, "", nil, nil); a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=86400" {
				s.t.Errorf("%s: %d", home, a.status)
			}
			s.fails(s.do("POST", home+"/upload", "", nil, strings.NewReader("x")), 401, matrix.CodeMissingToken)
			s.fails(s.do("GET", home+"/config", "", nil, nil), 401, matrix.CodeMissingToken)
		}
		if a := s.do("GET", "/_matrix/client/unstable/org.matrix.msc3916/media/download"+path+"?access_token=bob-secret", "", nil, nil); a.status != 200 {
			s.t.Errorf("unstable: %d", a.status)
		}
		if a := s.do("GET", v1+"/config", "bob-secret", nil, nil); a.json["m.upload.size"] != float64(limit) {
			s.t.Errorf("config: %s", a.body)
		}
		for _, home := range []string{v1, "/_matrix/media/v3"} {
			s.fails(s.do("GET", home+"/preview_url?url=http://x", "bob-secret", nil, nil), 404, matrix.CodeNotFound)
		}
		if strings.Contains(s.log.String(), "secret") || !strings.Contains(s.log.String(), "download") {
			s.t.Errorf("the log tells tokens, or nothing: %s", s.log)
		}
	})
}

func TestFrozenPathsServeNothing(t *testing.T) {
	each(t, false, func(s *server) {
		path := s.upload("image/png", "", "x")
		for _, at := range []string{"/_matrix/media/v3/download" + path, "/_matrix/media/r0/download" + path + "/a", "/_matrix/media/v3/thumbnail" + path + "?width=1&height=1"} {
			s.fails(s.do("GET", at, "alice-secret", nil, nil), 404, matrix.CodeNotFound)
		}
		if a := s.do("GET", v1+"/download"+path, "alice-secret", nil, nil); a.status != 200 {
			s.t.Errorf("authenticated: %d", a.status)
		}
	})
}

// TestNothingRunsInABrowser uploads what would run if it were shown.
func TestNothingRunsInABrowser(t *testing.T) {
	each(t, true, func(s *server) {
		for _, c := range []struct{ kind, content, want, shown string }{
			{"text/html", "<script>alert(1)</script>", "text/html", "attachment"},
			{"image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, "image/svg+xml", "attachment"},
			{"application/xhtml+xml", "<html/>", "application/xhtml+xml", "attachment"},
			{"application/pdf", "%PDF-1.7", "application/pdf", "attachment"},
			{"text/javascript", "alert(1)", "text/javascript", "attachment"},
			{"TEXT/HTML; charset=utf-8", "<b>", "TEXT/HTML; charset=utf-8", "attachment"},
			{"Text/Plain; charset=utf-8", "<script>alert(1)</script>", "Text/Plain; charset=utf-8", "inline"},
			{"image/gif", "GIF89a/*<script>*/=1;alert(1)", "image/gif", "inline"}, // shown as a damaged picture, never run
			{"", "PK\x03\x04", "application/octet-stream", "attachment"},
			{"nonsense", "x", "nonsense", "attachment"},
			{"image/png, text/html", "<b>", "application/octet-stream", "attachment"},
		} {
			a := s.do("GET", v1+"/download"+s.upload(c.kind, "", c.content), "bob-secret", nil, nil)
			if a.header.Get("Content-Type") != c.want || a.header.Get("Content-Disposition") != c.shown || string(a.body) != c.content ||
				a.header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "sandbox;") {
				s.t.Errorf("%q: %v", c.kind, a.header)
			}
		}
		polyglot := s.upload("image/gif", "", "GIF89a/*<script>*/=1;alert(1)")
		s.fails(s.do("GET", v1+"/thumbnail"+polyglot+"?width=9&height=9", "bob-secret", nil, nil), 413, matrix.CodeTooLarge)
	})
}

func TestNamesCannotHarm(t *testing.T) {
	each(t, true, func(s *server) {
		for query, want := range map[string]string{
			"?filename=..%2F..%2Fetc%2Fpasswd":                    `inline; filename=passwd`,
			"?filename=a%0D%0ASet-Cookie:%20x=1":                  `inline; filename="aSet-Cookie: x=1"`,
			"?filename=%22%3B%20filename=evil.exe%3B%20x=%22.txt": `inline; filename="\"; filename=evil.exe; x=\".txt"`,
			"?filename=name;with;semicolons":                      `inline`, // a query parser drops what has semicolons
			"?filename=name%3Bwith%3Bsemicolons":                  `inline; filename="name;with;semicolons"`,
			"?filename=%F0%9F%90%94":                              `inline; filename*=utf-8''%F0%9F%90%94`,
			"?filename=" + strings.Repeat("a", 5000) + ".html":    `inline; filename=` + strings.Repeat("a", 255),
		} {
			path := s.upload("text/plain", query, "x")
			a := s.do("GET", v1+"/download"+path, "bob-secret", nil, nil)
			if got := a.header.Get("Content-Disposition"); got != want || a.header.Get("Set-Cookie") != "" {
				s.t.Errorf("%.50s: %q, want %q", query, got, want)
			}
		}
		path := s.upload("text/plain", "?filename=x", "x")
		a := s.do("GET", v1+"/download"+path+"/..%2F%0d%0aSet-Cookie%3A%20a", "bob-secret", nil, nil)
		if a.header.Get("Content-Disposition") != `inline; filename="Set-Cookie: a"` {
			s.t.Errorf("%v", a.header)
		}
		for _, bad := range []string{"/hs1/..%2F..%2Fx", "/hs1/a.b", "/..%2Fx/abc", "/hs1/%00"} {
			s.fails(s.do("GET", v1+"/download"+bad, "bob-secret", nil, nil), 400, matrix.CodeInvalidParam)
		}
		s.fails(s.do("GET", v1+"/download/elsewhere.org/abc", "bob-secret", nil, nil), 404, matrix.CodeNotFound)
	})
}

func TestUploadsInTwoSteps(t *testing.T) {
	each(t, true, func(s *server) {
		a := s.do("POST", "/_matrix/media/v1/create", "alice-secret", nil, strings.NewReader("{}"))
		uri, _ := a.json["content_uri"].(string)
		path, _ := strings.CutPrefix(uri, "mxc:/")
		if a.status != 200 || path == "" || a.json["unused_expires_at"] == nil {
			s.t.Fatalf("%d %s", a.status, a.body)
		}
		s.fails(s.do("GET", v1+"/download"+path+"?timeout_ms=0", "bob-secret", nil, nil), 504, matrix.CodeNotYetUploaded)
		s.fails(s.do("GET", v1+"/download"+path+"?timeout_ms=soon", "bob-secret", nil, nil), 400, matrix.CodeInvalidParam)
		put := "/_matrix/media/v3/upload" + path
		s.fails(s.do("PUT", put, "bob-secret", nil, strings.NewReader("x")), 403, matrix.CodeForbidden)
		s.fails(s.do("PUT", "/_matrix/media/v3/upload/hs1/unknown", "alice-secret", nil, strings.NewReader("x")), 404, matrix.CodeNotFound)
		if a := s.do("PUT", put+"?filename=x.png", "alice-secret", map[string]string{"Content-Type": "image/png"}, strings.NewReader("x")); a.status != 200 || string(a.body) != "{}" {
			s.t.Errorf("%d %s", a.status, a.body)
		}
		s.fails(s.do("PUT", put, "alice-secret", nil, strings.NewReader("y")), 409, matrix.CodeCannotOverwriteMedia)
		if a := s.do("GET", v1+"/download"+path, "bob-secret", nil, nil); string(a.body) != "x" || a.header.Get("Content-Disposition") != "inline; filename=x.png" {
			s.t.Errorf("%q %v", a.body, a.header)
		}
	})
}

func TestLimits(t *testing.T) {
	each(t, true, func(s *server) {
		over := strings.Repeat("x", limit+1)
		s.fails(s.do("POST", "/_matrix/media/v3/upload", "alice-secret", nil, strings.NewReader(over)), 413, matrix.CodeTooLarge)
		chunked := io.MultiReader(strings.NewReader(over)) // of unknown length
		s.fails(s.do("POST", "/_matrix/media/v3/upload", "alice-secret", nil, chunked), 413, matrix.CodeTooLarge)
		full := s.upload("text/plain", "", over[1:]) // larger than other bodies may be
		if a := s.do("GET", v1+"/download"+full, "bob-secret", nil, nil); len(a.body) != limit {
			s.t.Errorf("%d bytes", len(a.body))
		}
		for _, query := range []string{"?width=a&height=1", "?width=1", "?width=1&height=1&method=stretch", "?width=1&height=1&animated=maybe"} {
			s.fails(s.do("GET", v1+"/thumbnail"+full+query, "bob-secret", nil, nil), 400, matrix.CodeInvalidParam)
		}
	})
}

// TestACutUploadIsNoUpload says how long its body is, and hangs up in the middle.
func TestACutUploadIsNoUpload(t *testing.T) {
	each(t, true, func(s *server) {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			s.t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-secret\r\nContent-Length: 100\r\n\r\nhalf")
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			s.t.Fatal(err)
		}
		reply, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, io.EOF) {
			s.t.Fatal(err)
		}
		if !strings.Contains(string(reply), " 400 ") || strings.Contains(string(reply), "content_uri") {
			s.t.Errorf("%s", reply)
		}
	})
}
