package client_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// inParts is an answer of the parts given, each with its header lines.
func inParts(w http.ResponseWriter, parts ...string) {
	w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
	for _, p := range parts {
		_, _ = io.WriteString(w, "--b\r\n"+p+"\r\n")
	}
	_, _ = io.WriteString(w, "--b--\r\n")
}

const about = "Content-Type: application/json\r\n\r\n{}"

func TestMedia(t *testing.T) {
	picture := "Content-Type: image/png\r\nContent-Disposition: inline; filename=\"a b.png\"\r\n\r\n" + strings.Repeat("p", 1000)
	cases := map[string]http.HandlerFunc{
		"good":      func(w http.ResponseWriter, _ *http.Request) { inParts(w, about, picture) },
		"elsewhere": func(w http.ResponseWriter, _ *http.Request) { inParts(w, about, "Location: https://cdn.org/x\r\n\r\n") },
		"inwards": func(w http.ResponseWriter, _ *http.Request) {
			inParts(w, about, "Location: https://inner.org/x\r\n\r\n")
		},
		"plain": func(w http.ResponseWriter, _ *http.Request) { inParts(w, about, "Location: http://cdn.org/x\r\n\r\n") },
		"astray": func(w http.ResponseWriter, _ *http.Request) {
			inParts(w, about, "Location: https://cdn.org/on\r\n\r\n")
		},
		"large": func(w http.ResponseWriter, _ *http.Request) { inParts(w, about, "\r\n"+strings.Repeat("p", 4<<20)) },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
			endless(w, "x")
		},
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
			_, _ = io.WriteString(w, "--b\r\n")
			endless(w, "X-Y: z\r\n")
		},
		"one part": func(w http.ResponseWriter, _ *http.Request) { inParts(w, about) },
		"no parts": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
			_, _ = io.WriteString(w, "--b\r\n"+about+"\r\n--b\r\n"+picture)
		},
		"old": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/_matrix/media/v3/download/a.org:99/x" {
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"errcode":"M_UNRECOGNIZED"}`)
				return
			}
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Disposition", `inline; filename="a b.png"`)
			_, _ = io.WriteString(w, strings.Repeat("p", 1000))
		},
	}
	for name, h := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Host("a.org", "9.9.9.9")
			r.Host("cdn.org", "9.9.9.10")
			r.Host("inner.org", "10.0.0.1")
			r.Serve("9.9.9.9:99", h, "a.org")
			there := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/on" {
					http.Redirect(w, r, "https://inner.org/x", http.StatusFound)
					return
				}
				w.Header().Set("Content-Type", "image/png")
				w.Header().Set("Content-Disposition", `inline; filename="a b.png"`)
				_, _ = io.WriteString(w, strings.Repeat("p", 1000))
			})
			r.Serve("9.9.9.10:443", there, "cdn.org")
			r.Serve("10.0.0.1:443", there, "inner.org")
			f, err := r.client.Download(t.Context(), "us.org", "a.org:99", "x", 2000)
			var content []byte
			if err == nil {
				content, err = io.ReadAll(f.Content)
				_ = f.Content.Close()
			}
			good := name == "good" || name == "elsewhere" || name == "old"
			if (err == nil) != good {
				t.Fatalf("%d bytes, %v", len(content), err)
			}
			if good && (len(content) != 1000 || f.Type != "image/png" || f.Name != "a b.png") {
				t.Errorf("%d bytes, %q, %q", len(content), f.Type, f.Name)
			}
			for _, address := range r.Dialled() {
				if strings.HasPrefix(address, "10.") || strings.HasSuffix(address, ":80") {
					t.Errorf("led to %s", address)
				}
			}
		})
	}
}
