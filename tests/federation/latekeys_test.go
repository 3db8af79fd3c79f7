package federation

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
)

// Whose server cannot be asked for its keys while others tell that he came is in the room as soon as it can be, and so is what follows: nobody
// says anything more meanwhile.
func TestWhoCameIsKnownWhenHisServerCanBeAsked(t *testing.T) {
	ctx, ca := t.Context(), fakenet.NewCA(t)
	var people []*mx.Client
	var seats []*seat
	for _, name := range []string{"alice", "bob", "carl"} {
		s := newSeat(t, ca, 1)
		c, err := mx.Register(ctx, s.URL, name)
		mx.Must(t, err)
		people, seats = append(people, c), append(seats, s)
	}
	alice, bob, carl := people[0], people[1], people[2]
	hall, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, bob, hall, seats[0].Name))
	seats[1].link.Cut()
	mx.Must(t, joinVia(ctx, carl, hall, seats[0].Name))
	said, err := alice.Send(ctx, hall, "1", "welcome, carl")
	mx.Must(t, err)
	seats[2].link.Cut()
	seats[2].Stop() // so that he says nothing
	seats[1].link.Mend()
	for end := time.Now().Add(patience); !strings.Contains(seats[1].Log(), "keys of a server cannot be had"); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("nobody asked for the keys of his server")
		}
	}
	seats[2].link.Mend()
	seats[2].Restart()
	waitFor(t, bob, hall, said, "welcome, carl")
	waitFor(t, bob, hall, carl.UserID, `"membership":"join"`)
}
