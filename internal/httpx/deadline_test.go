package httpx

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"rempart/internal/matrix"
)

// stopwatch notes how much was written under each deadline.
type stopwatch struct {
	*httptest.ResponseRecorder
	written []int
}

func (s *stopwatch) SetWriteDeadline(until time.Time) error {
	if until.After(time.Now()) {
		s.written = append(s.written, 0)
	}
	return nil
}

func (s *stopwatch) Write(b []byte) (int, error) {
	if len(s.written) > 0 {
		s.written[len(s.written)-1] += len(b)
	}
	return s.ResponseRecorder.Write(b)
}

// Each piece of an answer has its own time, so that who stops reading is cut off and who reads slowly is not.
func TestEachPieceOfAnAnswerHasItsOwnTime(t *testing.T) {
	page := bytes.Repeat([]byte("x"), 5*pieceSize+17)
	r := New(Options{Auth: people()})
	HandleRaw(r, "GET", "/_matrix/client/v3/page", Route{Access: Public},
		func(w http.ResponseWriter, _ *http.Request, _ matrix.Caller, _ Path) error {
			w.WriteHeader(http.StatusOK)
			_, err := w.Write(page)
			return err
		})
	HandleRaw(r, "GET", "/_matrix/client/v3/nothing", Route{Access: Public},
		func(http.ResponseWriter, *http.Request, matrix.Caller, Path) error { return nil })
	for path, want := range map[string]int{"page": len(page), "nothing": 0} {
		w := &stopwatch{ResponseRecorder: httptest.NewRecorder()}
		r.ServeHTTP(w, httptest.NewRequest("GET", "/_matrix/client/v3/"+path, nil))
		if len(w.written) == 0 {
			t.Errorf("%s: written without a deadline", path)
		}
		if got := w.Body.Len(); got != want {
			t.Errorf("%s: %d bytes arrived, want %d", path, got, want)
		}
		for _, n := range w.written {
			if n > pieceSize {
				t.Errorf("%s: %d bytes under one deadline", path, n)
			}
		}
	}
}
