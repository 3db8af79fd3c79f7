package httpx

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"rempart/internal/matrix"
)

type note struct {
	Text string          `json:"text"`
	N    int             `json:"n"`
	Any  json.RawMessage `json:"any"`
}

func bodyRoutes() *Router {
	r := New(Options{MaxBody: 2000})
	Handle(r, "POST", "/typed", Route{}, func(_ context.Context, _ matrix.Caller, _ Path, in note) (note, error) { return in, nil })
	Handle(r, "POST", "/raw", Route{}, func(_ context.Context, _ matrix.Caller, _ Path, in json.RawMessage) (json.RawMessage, error) {
		return in, nil
	})
	Handle(r, "POST", "/empty", Route{}, func(context.Context, matrix.Caller, Path, Empty) (Empty, error) { return Empty{}, nil })
	Handle(r, "POST", "/small", Route{MaxBody: 10}, func(context.Context, matrix.Caller, Path, Empty) (Empty, error) { return Empty{}, nil })
	return r
}

func TestBodies(t *testing.T) {
	r := bodyRoutes()
	deep := func(n int) string { return strings.Repeat(`{"any":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range []struct{ path, body, want string }{
		{"/typed", `{"text":"<é>","n":1}`, `{"text":"<é>","n":1,"any":null}`},
		{"/typed", ``, `{"text":"","n":0,"any":null}`},
		{"/typed", ` {"any": {"b":1,"a":"\"]"} }`, `{"text":"","n":0,"any":{"b":1,"a":"\"]"}}`},
		{"/typed", `{"TEXT":"a","text":"b","Text":"c"}`, `"text":"b"`},
		{"/typed", `{"text":`, "M_NOT_JSON"},
		{"/typed", `{} x`, "M_NOT_JSON"},
		{"/typed", `{"text":"` + "\xff" + `"}`, "M_NOT_JSON"},
		{"/typed", `x`, "M_NOT_JSON"},
		{"/typed", `{"text":1}`, "M_BAD_JSON"},
		{"/typed", `{"n":1.5}`, "M_BAD_JSON"},
		{"/typed", `[]`, "M_BAD_JSON"},
		{"/typed", `null`, "M_BAD_JSON"},
		{"/typed", deep(MaxDepth), `"text":""`},
		{"/typed", deep(MaxDepth + 1), "M_BAD_JSON"},
		{"/typed", `{"text":"` + strings.Repeat("[", 200) + `"}`, "[[["},
		{"/typed", `{"text":"\"` + strings.Repeat("[", 200) + `"}`, "[[["},
		{"/typed", `{"text":"` + strings.Repeat("x", 2000) + `"}`, "M_TOO_LARGE"},
		{"/raw", `{ "z":1, "a":1.0e3 }`, `{ "z":1, "a":1.0e3 }`},
		{"/raw", ``, "M_NOT_JSON"},
		{"/raw", `{]`, "M_NOT_JSON"},
		{"/raw", `"x"`, "M_BAD_JSON"},
		{"/empty", ``, `{}`},
		{"/empty", `{"any":1}`, `{}`},
		{"/empty", `{`, "M_NOT_JSON"},
		{"/small", `{"a":"0123456789"}`, "M_TOO_LARGE"},
	} {
		status, body := call(r, "POST", c.path, c.body)
		if !strings.Contains(body, c.want) || strings.HasPrefix(c.want, "M_") == (status == http.StatusOK) {
			t.Errorf("%s %.60q: %d %.120s, want %s", c.path, c.body, status, body, c.want)
		}
	}
}

func TestChunkedBodiesAreBounded(t *testing.T) {
	for n, want := range map[int]int{100: 200, 1988: 200, 1990: 413} {
		req := httptest.NewRequest("POST", "/typed", strings.NewReader(`{"text":"`+strings.Repeat("x", n)+`"}`))
		req.ContentLength = -1
		w := httptest.NewRecorder()
		bodyRoutes().ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%d bytes: %d %s", n, w.Code, w.Body)
		}
	}
}

func TestRawBodiesAreBounded(t *testing.T) {
	r := New(Options{MaxBody: 100})
	HandleRaw(r, "POST", "/raw", Route{}, func(w http.ResponseWriter, req *http.Request, _ matrix.Caller, _ Path) error {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		WriteJSON(w, http.StatusOK, b)
		return nil
	})
	for n, want := range map[int]int{100: 200, 101: 413} {
		for _, length := range []int64{int64(n), -1} {
			req := httptest.NewRequest("POST", "/raw", strings.NewReader(strings.Repeat("1", n)))
			req.ContentLength = length
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			if w.Code != want || want == 413 && errcode(w.Body.String()) != "M_TOO_LARGE" {
				t.Errorf("%d bytes, said to be %d: %d %s", n, length, w.Code, w.Body)
			}
		}
	}
}

// FuzzBody sends any body to every shape of input: 200 or an error of the specification, never a panic or a 500.
func FuzzBody(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"text":1}`, `{"any":[{}]}`, "{\"text\":\"\\ud800\"}", `[[[[`, "\xff"} {
		f.Add([]byte(s))
	}
	r := bodyRoutes()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/typed", "/raw", "/empty", "/small"} {
			status, answer := call(r, "POST", path, string(body))
			if status != 200 && status != 400 && status != 413 {
				t.Errorf("%s %q: %d %s", path, body, status, answer)
			}
			if !json.Valid([]byte(answer)) {
				t.Errorf("%s %q: answered %q", path, body, answer)
			}
		}
	})
}

// hungry notes the most that was asked of it at once before anything had come, and gives what it has byte by byte.
type hungry struct {
	text  string
	asked int
}

func (h *hungry) Read(b []byte) (int, error) {
	h.asked = max(h.asked, len(b))
	if h.text == "" {
		return 0, io.EOF
	}
	b[0], h.text = h.text[0], h.text[1:]
	return 1, nil
}

// Who declares a large body and sends nothing takes no room for it.
func TestDeclaredBodiesTakeNoRoom(t *testing.T) {
	r := New(Options{MaxBody: 64 << 20})
	Handle(r, "POST", "/x", Route{}, func(_ context.Context, _ matrix.Caller, _ Path, in json.RawMessage) (int, error) {
		return len(in), nil
	})
	ask := func(body io.Reader, length int64) *httptest.ResponseRecorder {
		req := httptest.NewRequest("POST", "/x", body)
		req.ContentLength = length
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w
	}
	h := &hungry{text: `{"a":`}
	if w := ask(h, 60<<20); w.Code != http.StatusBadRequest || h.asked > 1<<20 {
		t.Errorf("%d, and room was made for %d bytes", w.Code, h.asked)
	}
	long := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
	if w := ask(strings.NewReader(long), int64(len(long))); w.Body.String() != strconv.Itoa(len(long)) {
		t.Errorf("a body of %d bytes: %d %s", len(long), w.Code, w.Body)
	}
}
