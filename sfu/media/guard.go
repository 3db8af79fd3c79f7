package media

import (
	"context"
	"strings"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// guard stands between what clients say and LiveKit. Whatever a client asks for, no packet is sent to an address because he
// named it: ICE-lite stays on, and the addresses he offers are not even heard. The server answers to where a client's own
// checks come from.
type guard struct{ routing.Router }

// StartParticipantSignal implements [routing.MessageRouter].
func (g guard) StartParticipantSignal(ctx context.Context, room livekit.RoomName, pi routing.ParticipantInit) (routing.StartParticipantSignalResults, error) {
	pi.DisableICELite = false
	pi.PublisherOffer = withoutAddresses(pi.PublisherOffer)
	started, err := g.Router.StartParticipantSignal(ctx, room, pi)
	if err == nil {
		started.RequestSink = deaf{started.RequestSink}
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
