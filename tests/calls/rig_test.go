package calls

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// base is where the routes of calls are.
const base = "/_rempart/calls"

// start runs a server with a media server on free ports.
func start(t *testing.T) *live.Server {
	t.Helper()
	return startWith(t, live.Options{}, "http://calls.invalid")
}

// startWith is start with further options and the address that clients are told.
func startWith(t *testing.T, o live.Options, public string) *live.Server {
	t.Helper()
	return startSet(t, o, public, ports.Both(t), "  tcp_port: 0\n")
}

// startSet is startWith with the port of media, settings of calls, and sections behind them.
func startSet(t *testing.T, o live.Options, public string, port int, settings string) *live.Server {
	t.Helper()
	t.Setenv("REMPART_SERVER_PUBLIC_URL", public)
	lksdk.SetLogger(logger.GetDiscardLogger())
	o.Extra += fmt.Sprintf("calls:\n  mode: embedded\n  node_ip: [\"127.0.0.1\"]\n  udp_port: %d\n%s", port, settings)
	return live.Start(t, o)
}

// person is somebody with an account.
type person struct {
	t                 *testing.T
	url, user, device string
	token             string
}

// call makes a request and gives its status and answer.
func (p *person) call(method, path string, body any) (int, map[string]any) {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	if p.token != "" {
		q.Header.Set("Authorization", "Bearer "+p.token)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	out := map[string]any{}
	_ = json.NewDecoder(a.Body).Decode(&out)
	return a.StatusCode, out
}

// must is call for what has to succeed.
func (p *person) must(method, path string, body any) map[string]any {
	p.t.Helper()
	status, out := p.call(method, path, body)
	if status != http.StatusOK {
		p.t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	return out
}

func register(t *testing.T, s *live.Server, name string) *person {
	t.Helper()
	p := &person{t: t, url: s.URL}
	out := p.must("POST", "/_matrix/client/v3/register", map[string]any{"username": name, "password": "long enough 1", "auth": map[string]string{"type": "m.login.dummy"}})
	p.user, p.device, p.token = out["user_id"].(string), out["device_id"].(string), out["access_token"].(string)
	return p
}

// ask asks for a token by the newer form.
func (p *person) ask(room string) (int, string) {
	p.t.Helper()
	openid := p.must("POST", "/_matrix/client/v3/user/"+p.user+"/openid/request_token", struct{}{})
	status, out := p.call("POST", base+"/get_token", map[string]any{"room_id": room, "slot_id": "m.call#ROOM", "openid_token": openid,
		"member": map[string]string{"id": "member-" + p.device, "claimed_user_id": p.user, "claimed_device_id": p.device}})
	jwt, _ := out["jwt"].(string)
	return status, jwt
}

// heard are the packets that somebody got, by kind of media.
type heard struct {
	audio, video chan struct{}
	gone         chan struct{}
}

// join connects somebody with a token.
func (p *person) join(jwt string) (*lksdk.Room, *heard, error) {
	return p.joinAt(p.url, jwt)
}

// joinAt is join at a server that need not be one's own.
func (p *person) joinAt(url, jwt string, how ...lksdk.ConnectOption) (*lksdk.Room, *heard, error) {
	return p.connect("ws"+url[len("http"):]+base, jwt, how...)
}

// connect is joinAt at an address for websockets.
func (p *person) connect(url, jwt string, how ...lksdk.ConnectOption) (*lksdk.Room, *heard, error) {
	h := &heard{make(chan struct{}, 10_000), make(chan struct{}, 10_000), make(chan struct{}, 1)}
	room, err := lksdk.ConnectToRoomWithToken(url, jwt, &lksdk.RoomCallback{
		OnDisconnected: func() { h.gone <- struct{}{} },
		ParticipantCallback: lksdk.ParticipantCallback{OnTrackSubscribed: func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
			to := h.audio
			if track.Kind() == webrtc.RTPCodecTypeVideo {
				to = h.video
			}
			for {
				if _, _, err := track.ReadRTP(); err != nil {
					return
				}
				select {
				case to <- struct{}{}:
				default:
				}
			}
		}},
	}, append([]lksdk.ConnectOption{lksdk.WithConnectTimeout(mx.Patience)}, how...)...)
	if err == nil {
		p.t.Cleanup(room.Disconnect)
	}
	return room, h, err
}

// send has somebody send sound and pictures until the test ends.
func send(t *testing.T, room *lksdk.Room) {
	t.Helper()
	for _, c := range []struct {
		codec webrtc.RTPCodecCapability
		data  []byte
	}{
		{webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, []byte{0xf8, 0xff, 0xfe}},
		// The header of a key frame of 16 by 16 points, VP8: RFC 6386, section 9.1.
		{webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, append([]byte{0x10, 2, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0}, make([]byte, 40)...)},
	} {
		track := publish(t, room, c.codec, &lksdk.TrackPublicationOptions{Name: c.codec.MimeType, VideoWidth: 16, VideoHeight: 16})
		go func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-t.Context().Done():
					return
				case <-tick.C:
					_ = track.WriteSample(media.Sample{Data: c.data, Duration: 20 * time.Millisecond}, nil)
				}
			}
		}()
	}
}

// publish has somebody tell the media server of a track. Why again: the library waits for the answer ten seconds and no more.
func publish(t *testing.T, room *lksdk.Room, codec webrtc.RTPCodecCapability, how *lksdk.TrackPublicationOptions) *lksdk.LocalTrack {
	t.Helper()
	for end := time.Now().Add(mx.Patience); ; {
		track, err := lksdk.NewLocalTrack(codec)
		if err == nil {
			_, err = room.LocalParticipant.PublishTrack(track, how)
		}
		if err == nil {
			return track
		}
		if !errors.Is(err, lksdk.ErrTrackPublishTimeout) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// wait takes n of something, or fails.
func wait(t *testing.T, what string, n int, from <-chan struct{}) {
	t.Helper()
	deadline := time.After(mx.Patience)
	for i := range n {
		select {
		case <-from:
		case <-deadline:
			t.Fatalf("%s: %d of %d", what, i, n)
		}
	}
}
