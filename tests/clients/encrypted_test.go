//go:build goolm

package clients

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/cryptohelper"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// patience bounds how long a test waits for something that must happen; nothing is asserted about time.
const patience = mx.Patience

// person is a mautrix client with encryption, syncing in the background.
type person struct {
	*mautrix.Client
	crypto *cryptohelper.CryptoHelper
	heard  chan string // decrypted texts
	joined chan id.RoomID
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// newPerson registers an account and starts its encryption.
func newPerson(ctx context.Context, t *testing.T, server *live.Server, name string) *person {
	t.Helper()
	cli, err := mautrix.NewClient(server.URL, "", "")
	must(t, err)
	res, err := cli.RegisterDummy(ctx, &mautrix.ReqRegister[any]{Username: name, Password: "correct horse " + name})
	must(t, err)
	cli.UserID, cli.DeviceID, cli.AccessToken = res.UserID, res.DeviceID, res.AccessToken
	cli.Log = zerolog.Nop()
	cli.StateStore = mautrix.NewMemoryStateStore()
	p := &person{Client: cli, heard: make(chan string, 100), joined: make(chan id.RoomID, 10)}
	syncer := cli.Syncer.(*mautrix.DefaultSyncer)
	syncer.OnEvent(cli.StateStoreSyncHandler)
	syncer.OnEventType(event.StateMember, func(ctx context.Context, e *event.Event) {
		if e.GetStateKey() == cli.UserID.String() && e.Content.AsMember().Membership == event.MembershipInvite {
			if _, err := cli.JoinRoomByID(ctx, e.RoomID); err == nil {
				p.joined <- e.RoomID
			}
		}
	})
	syncer.OnEventType(event.EventMessage, func(_ context.Context, e *event.Event) {
		if e.Sender != cli.UserID && e.Mautrix.WasEncrypted {
			p.heard <- e.Content.AsMessage().Body
		}
	})
	p.crypto, err = cryptohelper.NewCryptoHelper(cli, []byte("pickle"), crypto.NewMemoryStore(nil))
	must(t, err)
	p.crypto.DecryptErrorCallback = func(e *event.Event, err error) { t.Errorf("%s cannot decrypt %s: %v", name, e.ID, err) }
	must(t, p.crypto.Init(ctx))
	cli.Crypto = p.crypto
	p.listen(ctx)
	t.Cleanup(p.quit)
	return p
}

// listen syncs until quit. A server that is away is asked again, as real clients do.
func (p *person) listen(ctx context.Context) {
	ctx, p.stop = context.WithCancel(ctx)
	p.done.Go(func() {
		for ctx.Err() == nil {
			_ = p.SyncWithContext(ctx)
		}
	})
}

func (p *person) quit() {
	p.stop()
	p.done.Wait()
}

func (p *person) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-p.heard:
		if got != want {
			t.Fatalf("%s heard %q, want %q", p.UserID, got, want)
		}
	case <-time.After(patience):
		t.Fatalf("%s did not hear %q", p.UserID, want)
	}
}

func (p *person) says(ctx context.Context, t *testing.T, room id.RoomID, text string) {
	t.Helper()
	_, err := p.SendText(ctx, room, text)
	must(t, err)
}

// talk is the whole story: a room, an invitation, messages both ways, a kill in mid-talk, more messages.
func talk(t *testing.T, o live.Options) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	server := live.Start(t, o)
	alice, bob := newPerson(ctx, t, server, "alice"), newPerson(ctx, t, server, "bob")
	res, err := alice.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Preset: "trusted_private_chat", IsDirect: true, Invite: []id.UserID{bob.UserID},
		InitialState: []*event.Event{{Type: event.StateEncryption, Content: event.Content{
			Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}}}},
	})
	must(t, err)
	select {
	case <-bob.joined:
	case <-time.After(patience):
		t.Fatal("bob did not see his invitation")
	}
	waitMember(ctx, t, alice, res.RoomID, bob.UserID)
	for i := range 5 {
		text := fmt.Sprintf("message %d", i)
		alice.says(ctx, t, res.RoomID, text)
		bob.hears(t, text)
		bob.says(ctx, t, res.RoomID, "answer to "+text)
		alice.hears(t, "answer to "+text)
	}
	server.Kill()
	server.Restart()
	alice.says(ctx, t, res.RoomID, "still there?")
	bob.hears(t, "still there?")
	bob.says(ctx, t, res.RoomID, "of course")
	alice.hears(t, "of course")
	requireCiphertext(ctx, t, alice, res.RoomID)
}

// waitMember waits until the client itself has heard of the member, since it encrypts for those it knows.
func waitMember(ctx context.Context, t *testing.T, p *person, room id.RoomID, who id.UserID) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !p.StateStore.IsInRoom(ctx, room, who) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s never heard that %s joined", p.UserID, who)
		case <-tick.C:
		}
	}
}

// requireCiphertext reads the room without keys: the server must hold nothing readable.
func requireCiphertext(ctx context.Context, t *testing.T, p *person, room id.RoomID) {
	t.Helper()
	page, err := p.Messages(ctx, room, "", "", mautrix.DirectionBackward, nil, 100)
	must(t, err)
	encrypted := 0
	for _, e := range page.Chunk {
		if e.Type == event.EventMessage {
			t.Errorf("the server holds a readable message: %s", e.Content.VeryRaw)
		}
		if e.Type == event.EventEncrypted {
			encrypted++
		}
	}
	if encrypted != 12 {
		t.Errorf("the server holds %d encrypted messages, want 12", encrypted)
	}
}

func TestEncryptedTalk(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { talk(t, live.Options{}) })
	t.Run("postgres", func(t *testing.T) { talk(t, live.Options{Postgres: pgtest.New(t)}) })
}
