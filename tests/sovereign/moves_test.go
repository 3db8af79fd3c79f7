package sovereign

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// TestAMoveAbroadFreezesRooms has a partner with a member in a room move abroad: as soon as it is found there nothing is said in the room any more, the
// administrator hears of it, and once it is found at home the room goes on.
func TestAMoveAbroadFreezesRooms(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	w := l.town("mairie.lab", "127.10.0.1", french+partners("moves.lab"), "")
	p := l.peer("moves.lab", "127.10.0.2")
	p.answers(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Connection", "close")
		_, _ = rw.Write([]byte(`{"pdus":{},"displayname":"Bob"}`))
	})
	room, err := w.alice.CreateRoom(ctx, object{"preset": "public_chat", "room_version": "11"})
	mx.Must(t, err)
	mx.Must(t, p.join("mairie.lab", matrixRoom(room), "@bob:moves.lab"))
	n := 0
	say := func() error {
		n++
		_, err := w.alice.Send(ctx, room, fmt.Sprint(n), fmt.Sprint("said ", n))
		return err
	}
	look := func() error {
		n++
		return w.alice.Do(ctx, "GET", fmt.Sprintf("/_matrix/client/v3/profile/@bob%d:moves.lab", n), nil, nil)
	}
	frozen := func() int {
		var out struct{ Closures []object }
		mx.Must(t, w.boss.Do(ctx, "GET", "/_rempart/admin/v1/closures", nil, &out))
		return len(out.Closures)
	}
	told := func() (n int) { // what is asked while it moves may come late
		for _, line := range p.log() {
			if strings.Contains(line, "/send/") {
				n++
			}
		}
		return n
	}
	mx.Must(t, say())
	l.until("the first message is told", func() bool { return told() == 1 })
	mx.Must(t, look())
	l.host("matrix.moves.lab", "127.12.0.1")
	if e := refused(look()); e == nil || e.Code != "M_FORBIDDEN" {
		t.Fatalf("it is spoken to abroad: %v", e)
	}
	if e := refused(say()); e == nil || e.Code != "M_FORBIDDEN" || !strings.Contains(e.Message, "moves.lab") {
		t.Errorf("a message beside a server that moved abroad: %v", e)
	}
	l.until("the room is in the list of what is closed", func() bool { return frozen() == 1 })
	if told() != 1 {
		t.Errorf("it was told %v", p.log())
	}
	w.Stop()
	calls := p.calls()
	w.Restart() // where it was found is not forgotten
	if e := refused(say()); e == nil || e.Code != "M_FORBIDDEN" || frozen() != 1 || p.calls() != calls {
		t.Errorf("after a restart: %v, %d closed", e, frozen())
	}
	l.host("matrix.moves.lab", "127.10.0.2")
	mx.Must(t, look())
	mx.Must(t, say())
	l.until("the room is open again", func() bool { return frozen() == 0 })
	w.nothingLeft()
}
