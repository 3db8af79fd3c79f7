package client_test

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"crypto/ed25519"

	"rempart/federation/client"
	"rempart/internal/matrix"
)

// endless writes for as long as somebody reads.
func endless(w http.ResponseWriter, what string) {
	block := []byte(strings.Repeat(what, 1024))
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestHostileWellKnown(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, _ *http.Request) { endless(w, " ") },
		"gigantic": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"m.server":"b.org:99","x":"`+strings.Repeat("y", 60<<10)+`"}`)
		},
		"loop": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		},
		"inwards": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://inner.org/.well-known/matrix/server", http.StatusFound)
		},
		"bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 1000 {
				if _, err := z.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
		"padded": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"m.server":"b.org:99"}`+strings.Repeat(" ", 60<<10))
		},
		"array": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `["m.server"]`) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Host("a.org", "9.9.9.9")
			r.Host("inner.org", "10.0.0.1")
			r.Serve("9.9.9.9:443", h, "a.org")
			r.Serve("10.0.0.1:443", here("inside"), "inner.org")
			r.Serve("9.9.9.9:8448", here("target"), "a.org")
			found, _, err := r.client.Version(t.Context(), "a.org")
			if found != "target" {
				t.Errorf("found %q: %v", found, err)
			}
			for _, address := range r.Dialled() {
				if strings.HasPrefix(address, "10.") {
					t.Errorf("a redirect led to %s", address)
				}
			}
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, _ *http.Request) { endless(w, " ") },
		"long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999999999")
			_, _ = io.WriteString(w, "{}")
		},
		"bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z, block := gzip.NewWriter(w), []byte(strings.Repeat(" ", 1<<20))
			for range 4000 {
				if _, err := z.Write(block); err != nil {
					return
				}
			}
		},
		"padded": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"pdus":[{}]}`)
			endless(w, " ")
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no UTF-8": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "{\"pdus\":[{\"x\":\"\xff\"}]}")
		},
		"deep": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"pdus":[`+strings.Repeat("[", 50_000)+strings.Repeat("]", 50_000)+`]}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://b.org/x", http.StatusTemporaryRedirect)
		},
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				w.Header().Add("X-Long", strings.Repeat("x", 10000))
			}
			_, _ = io.WriteString(w, "{}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Host("a.org", "9.9.9.9")
			r.Host("b.org", "9.9.9.10")
			r.Serve("9.9.9.9:99", h, "a.org")
			r.Serve("9.9.9.10:443", here("other"), "b.org")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := r.client.Event(t.Context(), "us.org", "a.org:99", "$e")
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("taken")
			}
			if after.TotalAlloc-before.TotalAlloc > 32<<20 {
				t.Errorf("%d MiB taken", (after.TotalAlloc-before.TotalAlloc)>>20)
			}
		})
	}
}

// A peer that answers a byte now and then holds us no longer than the call may take.
func TestSlowAnswersEnd(t *testing.T) {
	r := newRig(t)
	r.Host("a.org", "9.9.9.9")
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context()) // what ends a call is its context, by a deadline or otherwise
	defer cancel()
	r.Serve("9.9.9.9:99", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer close(ended)
		n := 0
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-req.Context().Done():
				return
			case <-tick.C:
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				if n++; n == 10 {
					cancel()
				}
			}
		}
	}), "a.org")
	if _, err := r.client.Event(ctx, "us.org", "a.org:99", "$e"); !errors.Is(err, context.Canceled) {
		t.Errorf("ended by %v", err)
	}
	<-ended // the connection is closed, not kept
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	r.Host("a.org", "9.9.9.9")
	r.Serve("9.9.9.9:99", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"errcode":"M_LIMIT_EXCEEDED","error":"`+strings.Repeat("slow ", 1000)+`","retry_after_ms":2500}`)
	}), "a.org")
	_, err := r.client.Event(t.Context(), "us.org", "a.org:99", "$e")
	e, ok := client.AsRemote(err)
	if !ok || e.Status != 429 || e.Err.Code != matrix.CodeLimitExceeded || e.RetryAfter() != 2500*time.Millisecond || len(e.Err.Message) > 300 {
		t.Errorf("%#v", err)
	}
	if m := matrix.AsError(err); m.Status != 429 || m.Code != matrix.CodeLimitExceeded {
		t.Errorf("as a protocol error: %v", m)
	}
	r.Serve("9.9.9.9:98", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errcode":"M_UNKNOWN_TOKEN","soft_logout":false}`)
	}), "a.org")
	_, err = r.client.Event(t.Context(), "us.org", "a.org:98", "$e")
	if m := matrix.AsError(err); m.Status != 502 || m.Code == matrix.CodeUnknownToken {
		t.Errorf("a peer can log our clients out: %v", m)
	}
	if _, err := r.client.Event(t.Context(), "stranger.org", "a.org:99", "$e"); err == nil {
		t.Error("asked in the name of a server that is not ours")
	}
}

// What another server answers instead of an answer is neither a success nor a failure of ours, and has our clients do nothing.
func TestRefusalsOfOddForms(t *testing.T) {
	r := newRig(t)
	r.Host("a.org", "9.9.9.9")
	for i, c := range []struct {
		status int
		body   string
		want   string
	}{
		{http.StatusNotModified, "", "502 M_UNKNOWN map[]"},
		{http.StatusFound, `{"errcode":"M_FORBIDDEN"}`, "502 M_UNKNOWN map[]"},
		{http.StatusInternalServerError, `{"errcode":"M_UNKNOWN"}`, "502 M_UNKNOWN map[]"},
		{http.StatusNotFound, "no such page", "502 M_UNKNOWN map[]"},
		{http.StatusForbidden, `{"ERRCODE":"M_FORBIDDEN"}`, "502 M_UNKNOWN map[]"},
		{http.StatusForbidden, `{"errcode":["M_FORBIDDEN"]}`, "502 M_UNKNOWN map[]"},
		{http.StatusForbidden, `{"errcode":"` + strings.Repeat("X", 1000) + `"}`, "502 M_UNKNOWN map[]"},
		{http.StatusForbidden, `{"errcode":"M_FORBIDDEN","error":{"x":1},"flows":[],"session":"s"}`, "403 M_FORBIDDEN map[]"},
		{http.StatusForbidden, `{"errcode":"M_CONSENT_NOT_GIVEN","consent_uri":"https://b.org/"}`, "403 M_CONSENT_NOT_GIVEN map[]"},
		{http.StatusTooManyRequests, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1e300}`, "429 M_LIMIT_EXCEEDED map[retry_after_ms:3600000]"},
		{http.StatusTooManyRequests, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":-5}`, "429 M_LIMIT_EXCEEDED map[]"},
		{http.StatusBadRequest, `{"errcode":"M_INCOMPATIBLE_ROOM_VERSION","room_version":"9"}`, "400 M_INCOMPATIBLE_ROOM_VERSION map[room_version:9]"},
		{http.StatusBadRequest, `{"errcode":"M_INCOMPATIBLE_ROOM_VERSION","room_version":{"9":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`,
			"400 M_INCOMPATIBLE_ROOM_VERSION map[]"},
	} {
		at := fmt.Sprintf("9.9.9.9:%d", 100+i)
		r.Serve(at, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}), "a.org")
		_, err := r.client.Event(t.Context(), "us.org", matrix.ServerName(fmt.Sprintf("a.org:%d", 100+i)), "$e")
		if m := matrix.AsError(err); err == nil || fmt.Sprintf("%d %s %v", m.Status, m.Code, m.Extra) != c.want {
			t.Errorf("%d %.80s: %d %s %v, want %s", c.status, c.body, m.Status, m.Code, m.Extra, c.want)
		}
	}
}

// What is signed is what arrives: method, target as it stands in the request line, and body.
func TestRequestsAreSigned(t *testing.T) {
	r := newRig(t)
	r.Host("a.org", "9.9.9.9")
	var bad []string
	r.Serve("9.9.9.9:99", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if len(body) == 0 {
			body = nil
		}
		signed, err := client.SignedRequest(req.Method, req.RequestURI, "us.org", "a.org:99", body)
		_, sig, _ := strings.Cut(req.Header.Get("Authorization"), `sig="`)
		raw, _ := base64.RawStdEncoding.DecodeString(strings.TrimSuffix(sig, `"`))
		if err != nil || !ed25519.Verify(r.key.Public(), signed, raw) {
			bad = append(bad, req.Method+" "+req.RequestURI)
		}
		if strings.Contains(req.RequestURI, "/send/") {
			_, _ = io.WriteString(w, `{"pdus":{}}`)
			return
		}
		_, _ = io.WriteString(w, `{"pdus":[],"events":[],"room_id":"!r:a","knock_room_state":[]}`)
	}), "a.org")
	ctx, c := t.Context(), r.client
	const us, to = "us.org", "a.org:99"
	_, err1 := c.Backfill(ctx, us, to, "!röm/?#:a.org", []matrix.EventID{"$a/+b", "$c&d"}, 10)
	_, err2 := c.GetMissingEvents(ctx, us, to, "!r:a.org", client.Missing{Latest: []matrix.EventID{"$x"}})
	_, err3 := c.SendKnock(ctx, us, to, "!r:a.org", "$e/%2F", []byte(`{"b":1,"a":{"c":"é"}}`))
	_, _, err4 := c.QueryDirectory(ctx, us, to, "#ä b+c:a.org")
	_, err5 := c.SendTransaction(ctx, us, to, "1", []byte(`{}`))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil || len(bad) > 0 {
		t.Errorf("%v; wrong signatures: %v", err, bad)
	}
}
