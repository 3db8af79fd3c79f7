package media

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"rempart/sfu"
)

// Probe says what a selftest connects to.
type Probe struct {
	// URL is where clients connect to.
	URL  string
	Keys sfu.Keys
	// Transport reaches the media process, which makes the room.
	Transport http.RoundTripper
}

// selftestTime bounds each step of a selftest, and selftestPackets is what it waits for.
const (
	selftestTime    = 15 * time.Second
	selftestPackets = 25
)

// Selftest connects two participants, has one speak and the other listen, and says what it does. Its error says in plain words
// which step failed.
func Selftest(ctx context.Context, p Probe, say func(format string, args ...any)) error {
	lksdk.SetLogger(logger.GetDiscardLogger())
	alias := sfu.SelftestAlias + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := Ask(ctx, p.Transport, http.MethodPost, "/rooms", url.Values{"alias": {alias}}, nil); err != nil {
		return fmt.Errorf("the media process does not answer; does the server run? %w", err)
	}
	say("The media process answers.")
	heard := make(chan struct{}, selftestPackets)
	listener, err := p.join(alias, "listener", &lksdk.RoomCallback{ParticipantCallback: lksdk.ParticipantCallback{
		OnTrackSubscribed: func(t *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
			count(t, heard)
		},
	}})
	if err != nil {
		return fmt.Errorf("nobody can connect by %s: does a proxy in front pass on websockets, and are UDP and TCP ports open? %w", p.URL, err)
	}
	defer listener.Disconnect()
	speaker, err := p.join(alias, "speaker", nil)
	if err != nil {
		return fmt.Errorf("a second participant cannot connect: %w", err)
	}
	defer speaker.Disconnect()
	say("Two participants are connected.")
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		return err
	}
	if _, err := speaker.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "selftest"}); err != nil {
		return fmt.Errorf("the speaker cannot send: %w", err)
	}
	return speak(ctx, track, heard, say)
}

// join connects one participant.
func (p Probe) join(alias, identity string, cb *lksdk.RoomCallback) (*lksdk.Room, error) {
	token := p.Keys.Sign(identity, sfu.Grant{Room: alias, RoomJoin: true, CanPublish: true, CanPublishData: true, CanSubscribe: true}, time.Minute, time.Now())
	return lksdk.ConnectToRoomWithToken(p.URL, token, cb, lksdk.WithAutoSubscribe(true))
}

// count tells of each packet, until there have been enough.
func count(t *webrtc.TrackRemote, heard chan<- struct{}) {
	for range selftestPackets {
		if _, _, err := t.ReadRTP(); err != nil {
			return
		}
		heard <- struct{}{}
	}
}

// speak sends silence until enough of it has been heard.
func speak(ctx context.Context, track *lksdk.LocalTrack, heard <-chan struct{}, say func(format string, args ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, selftestTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < selftestPackets; {
		select {
		case <-ctx.Done():
			return errors.New("participants are connected, but no media arrives: is the UDP port open, and node_ip the address of this machine?")
		case <-heard:
			n++
		case <-tick.C:
			if err := track.WriteSample(media.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: 20 * time.Millisecond}, nil); err != nil {
				return fmt.Errorf("send media: %w", err)
			}
		}
	}
	say("Media arrives: %d packets.", selftestPackets)
	return nil
}
