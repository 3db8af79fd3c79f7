package mediaapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core"
	"rempart/core/media"
	"rempart/core/preview"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/webfetch"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// names resolves every name to a public address; the network leads that to the test's web server.
type names struct{}

func (names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "inside.example" {
		return []netip.Addr{netip.MustParseAddr("10.1.2.3")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("198.41.0.4")}, nil
}

func (names) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, fmt.Errorf("no SRV record")
}

// web is a web server on the network, and how often it was asked.
type web struct {
	asked atomic.Int64
	base  string
}

type fetched struct{ webfetch.Client }

func (f fetched) Fetch(ctx context.Context, address string, limit int64) (*core.Page, error) {
	p, err := f.Client.Fetch(ctx, address, limit)
	if err != nil {
		return nil, err
	}
	return &core.Page{URL: p.URL, Type: p.Type, Body: p.Body, Cut: p.Cut}, nil
}

func newPreviews(t *testing.T, db *storage.DB, clock func() time.Time) (*web, *preview.Service, *media.Service) {
	t.Helper()
	w := &web{base: "http://www.example"}
	pages := http.NewServeMux()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	html := func(path, text string) {
		pages.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(text))
		})
	}
	html("/page", `<head><meta property="og:title" content="Titre"><meta property="og:image" content="/pic.png"><meta property="og:video" content="x"></head>`)
	html("/nopic", `<title>plain</title><meta property="og:image" content="http://inside.example/secret.png">`)
	pages.HandleFunc("/pic.png", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture.Bytes())
	})
	pages.Handle("/moved", http.RedirectHandler("/page", http.StatusFound))
	pages.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	pages.Handle("/inwards", http.RedirectHandler("http://inside.example/", http.StatusFound))
	pages.Handle("/strange", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	pages.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte("<title>bomb</title>"))
		zeros := make([]byte, 1<<20)
		for range 200 {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.asked.Add(1)
		pages.ServeHTTP(rw, req)
	}))
	t.Cleanup(server.Close)
	out := egress.New(egress.Options{Judge: egress.AllowHosts("previews", []string{"*"}, false), Resolver: names{},
		Connect: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		}})
	t.Cleanup(func() { _ = out.Close() })
	store, err := media.NewDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := media.New(t.Context(), media.Options{DB: db, Store: store, Local: func(matrix.ServerName) bool { return true }, MaxUpload: 20 << 20,
		Quota: 1, ImageBytes: 64 << 20, Clock: clock})
	s := preview.New(t.Context(), preview.Options{DB: db, Media: m, Pages: fetched{webfetch.Client{HTTP: out.HTTP(egress.Preview), Agent: "test"}}, Clock: clock})
	t.Cleanup(func() { s.Close(); m.Close() })
	return w, s, m
}

func TestPreviews(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var ahead atomic.Int64
		clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		w, s, m := newPreviews(t, db, clock)
		alice := matrix.Caller{User: "@alice:hs1", UserNID: 1, Tenant: 1, Server: "hs1"}
		of := func(path string) (map[string]any, error) {
			raw, err := s.Of(t.Context(), alice, w.base+path)
			out := map[string]any{}
			if err == nil {
				err = json.Unmarshal(raw, &out)
			}
			return out, err
		}
		got, err := of("/page#part")
		if err != nil {
			t.Fatal(err)
		}
		if got["og:title"] != "Titre" || got["og:image:width"] != 30.0 || got["og:image:height"] != 20.0 || got["matrix:image:size"] == nil || got["og:video"] != nil {
			t.Errorf("%v", got)
		}
		uri, _ := url.Parse(got["og:image"].(string))
		address := media.Address{Origin: matrix.ServerName(uri.Host), ID: strings.TrimPrefix(uri.Path, "/")}
		file, err := m.Open(t.Context(), address, 0)
		if err != nil || uri.Scheme != "mxc" {
			t.Fatalf("the picture %s: %v", uri, err)
		}
		_ = file.Content.Close()
		// The second time nobody is asked.
		before := w.asked.Load()
		if again, err := of("/page"); err != nil || again["og:image"] != got["og:image"] || w.asked.Load() != before {
			t.Errorf("asked again: %v, %v", again, err)
		}
		if got, err := of("/moved"); err != nil || got["og:title"] != "Titre" {
			t.Errorf("a page that moved: %v, %v", got, err)
		}
		if got, err := of("/pic.png"); err != nil || got["og:image:type"] != "image/png" {
			t.Errorf("a picture: %v, %v", got, err)
		}
		// A picture at a private address is left out; a page there, and what leads there, is refused.
		if got, err := of("/nopic"); err != nil || got["og:title"] != "plain" || got["og:image"] != nil {
			t.Errorf("a picture inside: %v, %v", got, err)
		}
		if got, err := of("/bomb"); err != nil || got["og:title"] != "bomb" {
			t.Errorf("a bomb: %v, %v", got, err)
		}
		for _, path := range []string{"/loop", "/inwards", "/strange", "/nothing"} {
			if got, err := of(path); err == nil {
				t.Errorf("%s: %v", path, got)
			}
		}
		for _, bad := range []string{"", "x", "ftp://www.example/", "http://user:pw@www.example/", "http://inside.example/", "http://127.0.0.1/", "http://[::1]/"} {
			before := w.asked.Load()
			if got, err := s.Of(t.Context(), alice, bad); err == nil || w.asked.Load() != before {
				t.Errorf("%q: %s", bad, got)
			}
		}
		// Old previews go, and their pictures with them.
		ahead.Store(int64(8 * 24 * time.Hour))
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Open(t.Context(), address, 0); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("the picture of an old preview: %v", err)
		}
		if _, err := of("/page"); err != nil || w.asked.Load() == before {
			t.Errorf("an old preview is made anew: %v", err)
		}
	})
}

func TestPreviewsAreOff(t *testing.T) {
	var off *preview.Service
	if _, err := off.Of(t.Context(), matrix.Caller{}, "http://www.example/"); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Error(err)
	}
}
