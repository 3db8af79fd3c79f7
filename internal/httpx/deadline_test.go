package httpx

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"rempart/internal/matrix"
)

// line is a connection whose peer takes each piece in a time of his own. It fails as a real one does when its deadline passes.
type line struct {
	*httptest.ResponseRecorder
	pace      time.Duration
	deadline  time.Time
	deadlines int // set so often
}

func (l *line) SetWriteDeadline(until time.Time) error {
	l.deadline = until
	l.deadlines++
	return nil
}

func (l *line) Write(b []byte) (int, error) {
	time.Sleep(l.pace)
	if l.deadline.IsZero() || time.Now().After(l.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return l.ResponseRecorder.Write(b)
}

// paged serves an answer of some pieces, nothing, and an answer whose handler has set a deadline of its own.
func paged() *Router {
	r := New(Options{Auth: people()})
	for path, size := range map[string]int{"page": 5*pieceSize + 17, "line": 17} {
		HandleRaw(r, "GET", "/_matrix/client/v3/"+path, Route{Access: Public},
			func(w http.ResponseWriter, _ *http.Request, _ matrix.Caller, _ Path) error {
				w.WriteHeader(http.StatusOK)
				_, err := w.Write(bytes.Repeat([]byte("x"), size))
				return err
			})
	}
	HandleRaw(r, "GET", "/_matrix/client/v3/nothing", Route{Access: Public},
		func(http.ResponseWriter, *http.Request, matrix.Caller, Path) error { return nil })
	HandleRaw(r, "GET", "/_matrix/client/v3/own", Route{Access: Public},
		func(w http.ResponseWriter, _ *http.Request, _ matrix.Caller, _ Path) error {
			return http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
		})
	return r
}

// Each piece of an answer has its own time, so that who stops reading is cut off and who reads slowly is not.
func TestEachPieceOfAnAnswerHasItsOwnTime(t *testing.T) {
	for _, c := range []struct {
		path string
		pace time.Duration
		want int
	}{{"page", pieceTime - time.Second, 5*pieceSize + 17}, {"page", pieceTime + spareTime + time.Second, 0}, {"nothing", 0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			l := &line{ResponseRecorder: httptest.NewRecorder(), pace: c.pace}
			paged().ServeHTTP(l, httptest.NewRequest("GET", "/_matrix/client/v3/"+c.path, nil))
			if got := l.Body.Len(); got != c.want || l.deadlines == 0 {
				t.Errorf("%s, a piece in %v: %d bytes arrived, want %d; %d deadlines", c.path, c.pace, got, c.want, l.deadlines)
			}
		})
	}
}

// A connection that is answered again and again gets a new deadline when it needs one, whatever a handler did to it.
func TestADeadlineLastsForSeveralAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ctx := paged(), context.WithValue(t.Context(), leaseKey{}, new(lease))
		l := &line{ResponseRecorder: httptest.NewRecorder()}
		for i, step := range []struct {
			path string
			rest time.Duration
			want int // deadlines after it
		}{{"line", 0, 1}, {"line", spareTime, 1}, {"line", time.Second, 2}, {"line", time.Hour, 3}, {"own", 0, 5}, {"line", 2 * time.Second, 5}} {
			time.Sleep(step.rest)
			before := l.Body.Len()
			r.ServeHTTP(l, httptest.NewRequestWithContext(ctx, "GET", "/_matrix/client/v3/"+step.path, nil))
			if l.deadlines != step.want || step.path == "line" && l.Body.Len() != before+17 {
				t.Fatalf("answer %d: %d deadlines, want %d; %d bytes", i, l.deadlines, step.want, l.Body.Len()-before)
			}
		}
	})
}
