package media

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// guard stands between what clients say and LiveKit. Whatever a client asks for, no packet is sent to an address because he
// named it: ICE-lite stays on, and the addresses he offers are not even heard. The server answers to where a client's own
// checks come from. Nor is he told of a server that tells addresses (STUN): see [unneeded].
type guard struct{ routing.Router }

// StartParticipantSignal implements [routing.MessageRouter].
func (g guard) StartParticipantSignal(ctx context.Context, room livekit.RoomName, pi routing.ParticipantInit) (routing.StartParticipantSignalResults, error) {
	pi.DisableICELite = false
	pi.PublisherOffer = withoutAddresses(pi.PublisherOffer)
	started, err := g.Router.StartParticipantSignal(ctx, room, pi)
	if err == nil {
		started.RequestSink = deaf{started.RequestSink}
		started.ResponseSource = newTold(started.ResponseSource)
	}
	return started, err
}

// deaf passes on what a client says but for addresses.
type deaf struct{ routing.MessageSink }

// WriteMessage implements [routing.MessageSink].
func (d deaf) WriteMessage(msg proto.Message) error {
	if q, ok := msg.(*livekit.SignalRequest); ok {
		switch m := q.Message.(type) {
		case *livekit.SignalRequest_Trickle:
			return nil
		case *livekit.SignalRequest_Offer:
			m.Offer = withoutAddresses(m.Offer)
		case *livekit.SignalRequest_Answer:
			m.Answer = withoutAddresses(m.Answer)
		case *livekit.SignalRequest_SyncState:
			m.SyncState.Offer = withoutAddresses(m.SyncState.GetOffer())
			m.SyncState.Answer = withoutAddresses(m.SyncState.GetAnswer())
		}
	}
	return d.MessageSink.WriteMessage(msg)
}

// withoutAddresses takes the candidates out of a description. RFC 8839
func withoutAddresses(d *livekit.SessionDescription) *livekit.SessionDescription {
	if d == nil || !strings.Contains(d.Sdp, "a=candidate:") {
		return d
	}
	lines := strings.SplitAfter(d.Sdp, "\n")
	var sb strings.Builder
	for _, line := range lines {
		if !strings.HasPrefix(line, "a=candidate:") {
			sb.WriteString(line)
		}
	}
	clean, _ := proto.Clone(d).(*livekit.SessionDescription)
	clean.Sdp = sb.String()
	return clean
}

// told passes on what LiveKit answers but for servers that nobody needs.
type told struct {
	routing.MessageSource
	out  chan proto.Message
	done chan struct{}
	once sync.Once
}

// newTold reads from a source until it, or what is made of it, is closed.
func newTold(from routing.MessageSource) *told {
	t := &told{MessageSource: from, out: make(chan proto.Message), done: make(chan struct{})}
	go func() {
		defer close(t.out)
		for msg := range from.ReadChan() {
			select {
			case t.out <- withoutSTUN(msg):
			case <-t.done:
				return
			}
		}
	}()
	return t
}

// ReadChan implements [routing.MessageSource].
func (t *told) ReadChan() <-chan proto.Message { return t.out }

// Close implements [routing.MessageSource].
func (t *told) Close() {
	t.once.Do(func() { close(t.done) })
	t.MessageSource.Close()
}

// unneeded is given to LiveKit as a STUN server, and taken out of what clients are told. Why: with an empty list LiveKit would
// name Google's and Twilio's; a client needs none, since the media server tells by each check where it came from; and our own
// media port must not be named, since Chromium throws away whatever else comes from the address of a STUN server.
const unneeded = "stun.invalid:9"

// withoutSTUN takes servers of STUN out of an answer.
func withoutSTUN(msg proto.Message) proto.Message {
	r, ok := msg.(*livekit.SignalResponse)
	if !ok {
		return msg
	}
	switch m := r.Message.(type) {
	case *livekit.SignalResponse_Join:
		m.Join.IceServers = relaysAmong(m.Join.IceServers)
	case *livekit.SignalResponse_Reconnect:
		m.Reconnect.IceServers = relaysAmong(m.Reconnect.IceServers)
	}
	return r
}

func relaysAmong(servers []*livekit.ICEServer) []*livekit.ICEServer {
	return slices.DeleteFunc(servers, func(s *livekit.ICEServer) bool {
		return slices.ContainsFunc(s.Urls, func(u string) bool { return strings.HasPrefix(u, "stun") })
	})
}
