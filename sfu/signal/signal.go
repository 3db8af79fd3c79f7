// Package signal is what clients and other servers ask about calls: where the media server is, and tokens for it, in the
// forms that clients use today and in those of the proposals (MSC4143, MSC4195).
//
// Whoever asks is known by his access token, by an OpenID token, or by his server's signature; whether he may is decided by
// sfu and core/calls. Events that a client wants sent when it is gone are not taken over from it: delegate_delayed_leave
// is not served, so that clients keep that to themselves, as they do where it answers 404.
package signal

import (
	"context"
	"encoding/json"
	"net/http"

	"rempart/core/calls"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/sfu"
)

// Tokens gives out tokens; *sfu.Service is one.
type Tokens interface {
	Token(ctx context.Context, q sfu.Request) (sfu.Token, error)
}

// People tells who holds an OpenID token of ours; *users.Service is one.
type People interface {
	OpenIDUser(ctx context.Context, token string) (matrix.UserID, error)
	Local(server matrix.ServerName) bool
}

// Peers are other servers. Their policy is asked before anything leaves.
type Peers interface {
	OpenIDUserinfo(ctx context.Context, to matrix.ServerName, token string) (matrix.UserID, error)
	CallToken(ctx context.Context, from, to matrix.ServerName, body []byte) (json.RawMessage, error)
}

// Deps are what the handlers call.
type Deps struct {
	Tokens Tokens
	People People
	// Peers is nil when no other server is admitted.
	Peers Peers
	// URL is the address of this service as clients know it.
	URL string
	// RemotePublish lets people of other servers send media here; otherwise they only receive, and send at their own server.
	RemotePublish bool
}

// Routes adds what clients ask.
func Routes(r *httpx.Router, d Deps) {
	discovery(r, d.URL)
	limited := httpx.Route{Class: "calls", Spec: "MSC4195", MaxBody: 64 << 10}
	httpx.Handle(r, http.MethodPost, sfu.Base+"/sfu/get", limited,
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, in legacyRequest) (sfu.Token, error) {
			return d.legacy(ctx, in)
		})
	httpx.Handle(r, http.MethodPost, sfu.Base+"/get_token", limited,
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, in serviceRequest) (sfu.Token, error) {
			return d.service(ctx, in)
		})
	own := httpx.Route{Access: httpx.User, Class: "calls", Spec: "MSC4195", MaxBody: 64 << 10,
		Unstable: []string{"/_matrix/client/unstable/io.element.msc4195/rtc/livekit/get_token"}}
	httpx.Handle(r, http.MethodPost, "/_matrix/client/v1/rtc/livekit/get_token", own,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in homeRequest) (json.RawMessage, error) {
			return d.home(ctx, c, in)
		})
}

// discovery tells clients where the media server is. MSC4143
func discovery(r *httpx.Router, address string) {
	type old struct {
		Type string `json:"type"`
		URL  string `json:"livekit_service_url"`
	}
	type transport struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	}
	httpx.Handle(r, http.MethodGet, "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports", httpx.Route{Access: httpx.UserOrGuest, Spec: "MSC4143"},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (map[string][]old, error) {
			return map[string][]old{"rtc_transports": {{"livekit", address}}}, nil
		})
	httpx.Handle(r, http.MethodGet, "/_matrix/client/v1/rtc/transports", httpx.Route{Access: httpx.UserOrGuest, Spec: "MSC4143"},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (map[string][]transport, error) {
			return map[string][]transport{"transports": {{"m.livekit", address}}}, nil
		})
}

// ServerRoutes adds what other servers ask for their users. MSC4195
func ServerRoutes(r *httpx.Router, d Deps) {
	signed := httpx.Route{Access: httpx.Server, Class: "federation", Spec: "MSC4195", MaxBody: 64 << 10,
		Unstable: []string{"/_matrix/federation/unstable/io.element.msc4195/rtc/livekit/get_token"}}
	httpx.Handle(r, http.MethodPost, "/_matrix/federation/v1/rtc/livekit/get_token", signed,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in peerRequest) (jwtAnswer, error) {
			return d.peer(ctx, c, in)
		})
}

// participant names somebody in a room's slot.
func participant(room, slot, identity string, user matrix.UserID, device matrix.DeviceID) (calls.Participant, error) {
	id, err := matrix.ParseRoomID(room)
	if err != nil {
		return calls.Participant{}, matrix.InvalidParam("room: this is no room id.")
	}
	if slot == "" || len(slot) > 255 {
		return calls.Participant{}, matrix.InvalidParam("slot_id must be a text of at most 255 bytes, such as " + calls.DefaultSlot + ".")
	}
	return calls.Participant{Alias: calls.Alias(id, slot), Identity: identity, Room: id, User: user, Device: device}, nil
}
