package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rempart/internal/matrix"
)

// A streamed answer begins to arrive while it is made; what fails before that is answered as any error, and what breaks off later
// is never taken for a whole answer.
func TestStreamedAnswers(t *testing.T) {
	r := New(Options{})
	piece := strings.Repeat("x", 1<<10)
	arrived := make(chan struct{})
	route := func(path string, fn Streamed) {
		Handle(r, "GET", path, Route{}, func(context.Context, matrix.Caller, Path, Empty) (Streamed, error) { return fn, nil })
	}
	many := func(w io.Writer, n int) (err error) {
		for range n {
			if _, e := io.WriteString(w, piece); e != nil {
				err = e
			}
		}
		return err
	}
	route("/short", func(w io.Writer) error { return many(w, 2) })
	route("/long", func(w io.Writer) error {
		if err := many(w, 64); err != nil {
			return err
		}
		select {
		case <-arrived: // the client has the beginning
			return many(w, 64)
		case <-time.After(20 * time.Second): // nothing was sent: let the test end
			return errors.New("nobody has the beginning")
		}
	})
	route("/early", func(w io.Writer) error {
		_ = many(w, 1)
		return matrix.NotFound("No such thing.")
	})
	route("/late", func(w io.Writer) error {
		_ = many(w, 64)
		return errors.New("the disk is gone")
	})
	server := httptest.NewServer(r)
	defer server.Close()
	ask := func(path string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	res := ask("/short")
	if body, err := io.ReadAll(res.Body); err != nil || len(body) != 2<<10 || res.ContentLength != 2<<10 {
		t.Errorf("short: %d bytes of %d, %v", len(body), res.ContentLength, err)
	}
	res = ask("/long")
	if _, err := io.ReadFull(res.Body, make([]byte, 1<<10)); err != nil {
		t.Errorf("long: %v", err)
	}
	close(arrived)
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 127<<10 || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("long: %d bytes more, %v, %v", len(rest), err, res.Header)
	}
	res = ask("/early")
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 404 || !strings.Contains(string(body), "M_NOT_FOUND") || strings.Contains(string(body), "xx") {
		t.Errorf("early: %d %.100s, %v", res.StatusCode, body, err)
	}
	res = ask("/late")
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("late: %d bytes look like a whole answer", len(body))
	}
}

// What waits to be sent is bounded, however long the answer.
func TestStreamedAnswersTakeLittle(t *testing.T) {
	most := 0
	w := &widest{ResponseWriter: httptest.NewRecorder(), most: &most}
	r := New(Options{})
	err := r.encode(w, Streamed(func(out io.Writer) error {
		for range 4096 {
			if _, err := out.Write(make([]byte, 1000)); err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil || most == 0 || most > streamBuffer {
		t.Errorf("%d bytes were sent at once, %v", most, err)
	}
}

// widest notes the longest write.
type widest struct {
	http.ResponseWriter
	most *int
}

func (w *widest) Write(b []byte) (int, error) {
	*w.most = max(*w.most, len(b))
	return len(b), nil
}
