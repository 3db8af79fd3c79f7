package rooms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"rempart/internal/matrix"
)

// answer is an error of another server's, as its status.
type answer int

func (a answer) Error() string { return fmt.Sprint("answered ", int(a)) }
func (a answer) Answered() int { return int(a) }

// Unwrap is what our own clients are told of it.
func (answer) Unwrap() error { return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "") }

// Whoever gave an answer was reached, however useless it was: he is not asked for the same thing for a quarter of an hour.
func TestWhoAnsweredWasReached(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {errNothingFetched, false}, {errSpoilt, false},
		{answer(404), false}, {answer(200), false}, {fmt.Errorf("ask: %w", answer(403)), false},
		{matrix.Forbidden("by policy"), false},
		{answer(429), true}, {answer(500), true}, {answer(503), true},
		{io.ErrUnexpectedEOF, true}, {context.DeadlineExceeded, true}, {errors.New("connection refused"), true},
	} {
		if got := unreached(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// Of a join that a server turned away for its load it is known that nobody counts the user in.
func TestWhoRefusesForHisLoadTookNoJoinIn(t *testing.T) {
	for _, c := range []struct {
		err  error
		lost bool
	}{
		{answer(429), false}, {fmt.Errorf("ask: %w", answer(429)), false}, {answer(403), false},
		{answer(500), true}, {io.ErrUnexpectedEOF, true},
	} {
		if got := unanswered(c.err); errors.As(got, new(errUnanswered)) != c.lost || !errors.Is(got, c.err) {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
