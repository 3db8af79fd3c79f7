//go:build goolm

package interop

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/cryptohelper"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"rempart/internal/testkit/mx"
)

// secret is a mautrix client with encryption that syncs in the background.
type secret struct {
	*mautrix.Client
	heard chan string
}

func newSecret(t *testing.T, p *person) *secret {
	t.Helper()
	cli, err := mautrix.NewClient(p.URL, id.UserID(p.UserID), p.Token)
	mx.Must(t, err)
	cli.DeviceID, cli.Log, cli.StateStore = id.DeviceID(p.DeviceID), zerolog.Nop(), mautrix.NewMemoryStateStore()
	s := &secret{Client: cli, heard: make(chan string, 10)}
	syncer, ok := cli.Syncer.(*mautrix.DefaultSyncer)
	if !ok {
		t.Fatal("another syncer")
	}
	syncer.OnEvent(cli.StateStoreSyncHandler)
	syncer.OnEventType(event.EventMessage, func(_ context.Context, e *event.Event) {
		if e.Sender != cli.UserID && e.Mautrix.WasEncrypted {
			s.heard <- e.Content.AsMessage().Body
		}
	})
	help, err := cryptohelper.NewCryptoHelper(cli, []byte("pickle"), crypto.NewMemoryStore(nil))
	mx.Must(t, err)
	help.DecryptErrorCallback = func(e *event.Event, err error) { t.Errorf("%s cannot decrypt %s: %v", cli.UserID, e.ID, err) }
	mx.Must(t, help.Init(t.Context()))
	cli.Crypto = help
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = cli.SyncWithContext(ctx)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return s
}

func (s *secret) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-s.heard:
		if got != want {
			t.Fatalf("%s heard %q, want %q", s.UserID, got, want)
		}
	case <-time.After(patience):
		t.Fatalf("%s did not hear %q", s.UserID, want)
	}
}

// Two clients talk so that neither server can read it.
func TestEncryptedWithAnotherServer(t *testing.T) {
	w := newWorld(t)
	for _, d := range [][2]*side{{w.ours, w.theirs}, {w.theirs, w.ours}} {
		t.Run(d[0].kind+" hosts", func(t *testing.T) {
			room, alice, bob := together(t, w.versions[0], d[0], d[1], map[string]any{"initial_state": []any{map[string]any{
				"type": "m.room.encryption", "state_key": "", "content": map[string]string{"algorithm": "m.megolm.v1.aes-sha2"}}}})
			a, b := newSecret(t, alice), newSecret(t, bob)
			for _, s := range []*secret{a, b} {
				for other := range map[id.UserID]bool{a.UserID: true, b.UserID: true} {
					for !s.StateStore.IsInRoom(t.Context(), id.RoomID(room), other) {
						time.Sleep(5 * time.Millisecond)
					}
				}
			}
			for _, text := range []string{"between us", "and again"} {
				for _, pair := range [][2]*secret{{a, b}, {b, a}} {
					_, err := pair[0].SendText(t.Context(), id.RoomID(room), text+string(pair[0].UserID))
					mx.Must(t, err)
					pair[1].hears(t, text+string(pair[0].UserID))
				}
			}
		})
	}
}
