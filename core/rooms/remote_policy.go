package rooms

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"rempart/internal/matrix"
)

// policyKeyID is the id of the key with which policy servers sign. Spec: server-server-api/#policy-servers
const policyKeyID = "ed25519:policy_server"

// RecommendEvent signs an event of a room whose policy server is one of ours: that server then recommends it. What it
// checks is that the event is proper, and that its server and its sender may speak in the room.
// Spec: server-server-api/#post_matrixpolicyv1sign, MSC4284
func (s *Service) RecommendEvent(ctx context.Context, origin, as matrix.ServerName, raw json.RawMessage) (map[matrix.ServerName]map[string]string, error) {
	var head struct {
		Room matrix.RoomID `json:"room_id"`
	}
	if matrix.Decode(raw, &head) != nil || head.Room == "" {
		return nil, matrix.BadJSON("This is no event of a room.")
	}
	r, err := s.visited(ctx, origin, head.Room)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil, matrix.NotFound("This room is not protected by this server.")
	}
	if err != nil {
		return nil, err
	}
	key, ok := s.policyKey(as)
	v, err := s.Current(ctx, r)
	if err != nil {
		return nil, err
	}
	if protects, err := protectedBy(ctx, v, key); err != nil || !ok || !protects {
		return nil, unlessNil(err, matrix.NotFound("This room is not protected by this server."))
	}
	e, err := r.version.ParseUntrusted(raw)
	if err != nil {
		return nil, matrix.BadJSON("The event is not one of this room's version.").Wrap(err)
	}
	if e.RoomID != r.id || e.Type == "m.room.policy" && e.StateKeyEquals("") {
		return nil, matrix.NewError(400, matrix.CodeForbidden, "This event is not to be signed.")
	}
	if err := s.recommends(ctx, v, e); err != nil {
		return nil, err
	}
	signed, err := e.Sign(key)
	if err != nil {
		return nil, err
	}
	var out struct {
		Signatures map[matrix.ServerName]map[string]string `json:"signatures"`
	}
	if err := matrix.Decode(signed.JSON, &out); err != nil {
		return nil, err
	}
	return map[matrix.ServerName]map[string]string{as: {policyKeyID: out.Signatures[as][policyKeyID]}}, nil
}

// policyKey is the key with which one of our servers recommends events.
// Why not its signing key: whoever had that sign an event in the name of our users could call the signature one of ours.
func (s *Service) policyKey(as matrix.ServerName) (matrix.SigningKey, bool) {
	key, ok := s.opts.Keys.SigningKey(as)
	if !ok {
		return key, false
	}
	seed := sha256.Sum256(append([]byte("rempart policy server\x00"), key.Private.Seed()...))
	return matrix.SigningKey{ServerName: as, KeyID: policyKeyID, Private: ed25519.NewKeyFromSeed(seed[:])}, true
}

// PolicyKey is the public key that rooms name which one of our servers is to protect; "" for a server
// that is none of ours, and where no other server is spoken to.
func (s *Service) PolicyKey(server matrix.ServerName) string {
	key, ok := s.policyKey(server)
	if !ok || !s.opts.Federated {
		return ""
	}
	return publicText(key)
}

func publicText(key matrix.SigningKey) string {
	pub, _ := key.Private.Public().(ed25519.PublicKey)
	return base64.RawStdEncoding.EncodeToString(pub)
}

// protectedBy reports whether a room names a server of ours, by its key, as its policy server.
func protectedBy(ctx context.Context, v *View, key matrix.SigningKey) (bool, error) {
	e, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.policy"})
	if err != nil || e == nil {
		return false, err
	}
	var c struct {
		Via  matrix.ServerName `json:"via"`
		Keys map[string]string `json:"public_keys"`
	}
	if matrix.Decode(e.Content, &c) != nil || c.Via != key.ServerName {
		return false, nil
	}
	return c.Keys["ed25519"] == publicText(key), nil
}

// recommends refuses an event whose sender has no business in the room.
func (s *Service) recommends(ctx context.Context, v *View, e *matrix.Event) error {
	if errs := s.opts.Peers.VerifyEvents(ctx, []*matrix.Event{e}); errs[0] != nil {
		return matrix.NewError(400, matrix.CodeForbidden, "The event is not signed as it must be.").Wrap(errs[0])
	}
	ok, err := s.Admits(ctx, v.Room(), e.Sender.Server())
	if err != nil {
		return err
	}
	is, err := v.Membership(ctx, e.Sender)
	if err != nil {
		return err
	}
	if !ok || is == "ban" || is != "join" && e.Type != "m.room.member" {
		return matrix.NewError(400, matrix.CodeForbidden, "The event is not recommended for this room.")
	}
	return nil
}
