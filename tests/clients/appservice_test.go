//go:build goolm

package clients

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/cryptohelper"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"rempart/internal/testkit/live"
)

// TestBridge runs mautrix-go's application service, which bridges are made of: its registration file as it writes it, its pings,
// its ghosts, and a bot that encrypts without a session of its own.
func TestBridge(t *testing.T) {
	onEngines(t, bridge)
}

// bridged is a bridge as the test sees it.
type bridged struct {
	*appservice.AppService
	processor *appservice.EventProcessor
	heard     chan *event.Event
}

// newBridge writes a registration file and serves what it promises.
func newBridge(t *testing.T, o *live.Options) *bridged {
	t.Helper()
	reg := appservice.CreateRegistration()
	reg.ID, reg.SenderLocalpart = "mautrix", "bridgebot"
	reg.EphemeralEvents, reg.MSC3202, reg.MSC4190 = true, true, true
	limited := false
	reg.RateLimited = &limited
	reg.Namespaces.UserIDs.Register(regexp.MustCompile(`^@ghost_.*:localhost$`), true)
	as := appservice.Create()
	as.Registration, as.HomeserverDomain = reg, "localhost"
	web := httptest.NewServer(as.Router)
	t.Cleanup(web.Close)
	reg.URL = web.URL
	o.Dir = t.TempDir()
	must(t, reg.Save(filepath.Join(o.Dir, "bridge.yaml")))
	o.Extra += "appservices:\n  files: [bridge.yaml]\n"
	b := &bridged{AppService: as, processor: appservice.NewEventProcessor(as), heard: make(chan *event.Event, 100)}
	b.processor.ExecMode = appservice.Sync
	b.processor.On(event.EventMessage, func(_ context.Context, e *event.Event) { b.heard <- e })
	return b
}

// hears waits for a message of somebody else than the bridge's users.
func (b *bridged) hears(t *testing.T, from id.UserID, want string) *event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case e := <-b.heard:
			if e.Sender != from {
				continue
			}
			if got := e.Content.AsMessage().Body; got != want {
				t.Fatalf("the bridge heard %q, want %q", got, want)
			}
			return e
		case <-ctx.Done():
			t.Fatalf("the bridge did not hear %q", want)
		}
	}
}

func bridge(t *testing.T, o live.Options) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	b := newBridge(t, &o)
	server := live.Start(t, o)
	must(t, b.SetHomeserverURL(server.URL))
	b.processor.Start(ctx)
	t.Cleanup(b.processor.Stop)
	bot := b.BotIntent()
	must(t, bot.EnsureRegistered(ctx))
	_, err := bot.AppservicePing(ctx, b.Registration.ID, "ping")
	must(t, err)

	alice := newPerson(ctx, t, server, "alice")
	plain(ctx, t, b, alice)
	server.Kill()
	server.Restart()
	encrypted(ctx, t, b, alice)
}

// plain is a portal: a ghost's room, into which it asks a person, with messages both ways.
func plain(ctx context.Context, t *testing.T, b *bridged, alice *person) {
	t.Helper()
	ghost := b.Intent("@ghost_bob:localhost")
	must(t, ghost.EnsureRegistered(ctx))
	must(t, ghost.SetDisplayName(ctx, "Bob elsewhere"))
	room, err := ghost.CreateRoom(ctx, &mautrix.ReqCreateRoom{Name: "A portal", Invite: []id.UserID{alice.UserID}})
	must(t, err)
	<-alice.joined
	sent, err := ghost.SendMessageEvent(ctx, room.RoomID, event.EventMessage,
		&event.MessageEventContent{MsgType: event.MsgText, Body: "from elsewhere"}, mautrix.ReqSendEvent{Timestamp: 1234567890})
	must(t, err)
	e, err := alice.GetEvent(ctx, room.RoomID, sent.EventID)
	must(t, err)
	if e.Timestamp != 1234567890 {
		t.Errorf("the event is of %d", e.Timestamp)
	}
	for i := range 5 {
		text := fmt.Sprintf("to elsewhere %d", i)
		alice.says(ctx, t, room.RoomID, text)
		b.hears(t, alice.UserID, text)
	}
}

// encrypted lets the bot read and write in an encrypted room, by what transactions bring: messages for its device, device lists,
// counts of keys.
func encrypted(ctx context.Context, t *testing.T, b *bridged, alice *person) {
	t.Helper()
	cli := b.BotClient()
	must(t, cli.CreateDeviceMSC4190(ctx, "", "the bridge"))
	helper, err := cryptohelper.NewCryptoHelper(cli, []byte("pickle"), crypto.NewMemoryStore(nil))
	must(t, err)
	helper.ASEventProcessor = b.processor
	helper.CustomPostDecrypt = func(_ context.Context, e *event.Event) { b.heard <- e }
	must(t, helper.Init(ctx))
	cli.Crypto = helper
	room, err := alice.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Invite: []id.UserID{cli.UserID}, InitialState: []*event.Event{{Type: event.StateEncryption, Content: event.Content{
			Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}}}},
	})
	must(t, err)
	must(t, b.BotIntent().EnsureJoined(ctx, room.RoomID))
	waitMember(ctx, t, alice, room.RoomID, cli.UserID)
	alice.says(ctx, t, room.RoomID, "a secret")
	if e := b.hears(t, alice.UserID, "a secret"); !e.Mautrix.WasEncrypted {
		t.Error("the secret was told to everybody")
	}
	_, err = helper.Machine().StateStore.IsEncrypted(ctx, room.RoomID)
	must(t, err)
	must(t, b.StateStore.SetEncryptionEvent(ctx, room.RoomID, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}))
	_, err = cli.JoinedMembers(ctx, room.RoomID)
	must(t, err)
	_, err = cli.SendText(ctx, room.RoomID, "well kept")
	must(t, err)
	alice.hears(t, "well kept")
}
