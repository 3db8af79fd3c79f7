package federation

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/mx"
)

// act is one thing that somebody may do. What comes of it does not matter, unless it must succeed.
type act struct {
	name   string
	weight int
	calm   bool // may be done in a calm room, and in any about who stays
	do     func(ctx context.Context, w *realm, p, other *soul, h *hall, r *rand.Rand) error
}

// live lets somebody act at random.
func (w *realm) live(p *soul, r *rand.Rand, acts int) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*mx.Patience)
	defer cancel()
	all := deeds()
	total := 0
	for _, a := range all {
		total += a.weight
	}
	for range acts {
		w.mu.Lock()
		h := w.halls[r.IntN(len(w.halls))]
		w.mu.Unlock()
		other := w.souls[r.IntN(len(w.souls))]
		n, i := r.IntN(total), 0
		for ; n >= all[i].weight; i++ {
			n -= all[i].weight
		}
		if !all[i].calm && (h.kind == calm || h.kind == held && other.stays()) {
			continue
		}
		err := all[i].do(ctx, w, p, other, h, r)
		w.did.Add(1)
		if err != nil {
			w.refused.Add(1)
		}
		w.note("%s %s %s %s: %v", p.UserID, all[i].name, h.id, other.UserID, err)
		var refused *mx.Error
		if err != nil && !errors.As(err, &refused) {
			rest(ctx)
		}
		w.pause(time.Duration(r.IntN(60))*time.Millisecond, nil)
	}
}

// deeds are all things that people do.
func deeds() []act {
	membership := func(verb string) func(context.Context, *realm, *soul, *soul, *hall, *rand.Rand) error {
		return func(ctx context.Context, _ *realm, p, other *soul, h *hall, _ *rand.Rand) error {
			return p.Do(ctx, "POST", room(h.id)+"/"+verb, map[string]string{"user_id": other.UserID}, nil)
		}
	}
	return []act{
		{"speaks in", 30, true, speak},
		{"sets state of", 8, true, setState},
		{"joins", 8, true, join},
		{"leaves", 4, true, func(ctx context.Context, _ *realm, p, _ *soul, h *hall, _ *rand.Rand) error {
			if h.kind != loose && p.stays() {
				return nil
			}
			return p.Do(ctx, "POST", room(h.id)+"/leave", map[string]any{}, nil)
		}},
		{"invites", 8, false, membership("invite")},
		{"kicks", 6, false, membership("kick")},
		{"bans", 4, false, membership("ban")},
		{"unbans", 5, false, membership("unban")},
		{"knocks at", 3, false, func(ctx context.Context, w *realm, p, _ *soul, h *hall, r *rand.Rand) error {
			return p.Do(ctx, "POST", "/_matrix/client/v3/knock/"+url.PathEscape(h.id)+"?server_name="+w.seats[r.IntN(len(w.seats))].Name, map[string]any{}, nil)
		}},
		{"sets who may join", 3, false, func(ctx context.Context, _ *realm, p, _ *soul, h *hall, r *rand.Rand) error {
			rule := []string{"public", "invite", "knock", "public"}[r.IntN(4)]
			return p.Do(ctx, "PUT", room(h.id)+"/state/m.room.join_rules/", map[string]string{"join_rule": rule}, nil)
		}},
		{"sets the power of", 3, false, setPower},
		{"redacts in", 4, true, redact},
		{"reads", 6, true, read},
		{"types in", 4, true, func(ctx context.Context, _ *realm, p, _ *soul, h *hall, _ *rand.Rand) error {
			return p.Do(ctx, "PUT", room(h.id)+"/typing/"+url.PathEscape(p.UserID), map[string]any{"typing": true, "timeout": 1500}, nil)
		}},
		{"is called otherwise", 3, true, func(ctx context.Context, _ *realm, p, _ *soul, _ *hall, r *rand.Rand) error {
			return p.Do(ctx, "PUT", "/_matrix/client/v3/profile/"+url.PathEscape(p.UserID)+"/displayname", map[string]string{"displayname": fmt.Sprint("P", r.IntN(1000))}, nil)
		}},
		{"is present", 2, true, func(ctx context.Context, _ *realm, p, _ *soul, _ *hall, r *rand.Rand) error {
			return p.Do(ctx, "PUT", "/_matrix/client/v3/presence/"+url.PathEscape(p.UserID)+"/status", map[string]string{"presence": "online", "status_msg": fmt.Sprint(r.IntN(100))}, nil)
		}},
		{"logs in", 4, true, logIn},
		{"logs out", 3, true, logOut},
		{"signs anew", 2, true, crossSign},
		{"tells a device of", 8, true, post},
		{"upgrades", 1, false, upgrade},
	}
}

// keep remembers an event of a room.
func (h *hall) keep(id, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, id)
	if h.kind == calm {
		h.said[id] = text
	}
}

// some is an event of the room, one of the last.
func (h *hall) some(r *rand.Rand) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return "$none"
	}
	return h.events[len(h.events)-1-r.IntN(min(len(h.events), 5))]
}

func join(ctx context.Context, w *realm, p, _ *soul, h *hall, r *rand.Rand) error {
	in := false
	for _, o := range w.souls {
		in = in || o.seat == p.seat && o.Do(ctx, "GET", room(h.id)+"/joined_members", nil, nil) == nil
	}
	h.mu.Lock()
	h.torn = h.torn || !in && h.been[p.seat]
	h.been[p.seat] = true
	h.mu.Unlock()
	return joinVia(ctx, p.Client, h.id, w.seats[r.IntN(len(w.seats))].Name)
}

func speak(ctx context.Context, _ *realm, p, _ *soul, h *hall, r *rand.Rand) error {
	text, id := fmt.Sprint("said ", r.Uint64()), ""
	err := surely(ctx, func() (err error) {
		id, err = p.Send(ctx, h.id, text, text)
		return err
	})
	if err == nil {
		h.keep(id, text)
	}
	return err
}

func setState(ctx context.Context, _ *realm, p, _ *soul, h *hall, r *rand.Rand) error {
	typ := []string{"m.room.topic/", "m.room.name/", "org.example.thing/a", "org.example.thing/b"}[r.IntN(4)]
	text := fmt.Sprint(p.UserID, r.IntN(100))
	return p.Do(ctx, "PUT", room(h.id)+"/state/"+typ, map[string]string{"topic": text, "name": text}, nil)
}

func setPower(ctx context.Context, _ *realm, p, other *soul, h *hall, r *rand.Rand) error {
	var c map[string]any
	if err := p.Do(ctx, "GET", room(h.id)+"/state/m.room.power_levels/", nil, &c); err != nil {
		return err
	}
	users, ok := c["users"].(map[string]any)
	if !ok {
		return nil
	}
	users[other.UserID] = []int{0, 50, 99}[r.IntN(3)]
	return p.Do(ctx, "PUT", room(h.id)+"/state/m.room.power_levels/", c, nil)
}

func redact(ctx context.Context, _ *realm, p, _ *soul, h *hall, r *rand.Rand) error {
	return p.Do(ctx, "PUT", room(h.id)+"/redact/"+url.PathEscape(h.some(r))+"/"+fmt.Sprint(r.Uint64()), map[string]any{}, nil)
}

func read(ctx context.Context, _ *realm, p, _ *soul, h *hall, r *rand.Rand) error {
	return p.Do(ctx, "POST", room(h.id)+"/receipt/m.read/"+url.PathEscape(h.some(r)), map[string]any{}, nil)
}

func logIn(ctx context.Context, _ *realm, p, _ *soul, _ *hall, r *rand.Rand) error {
	var a struct {
		Token  string `json:"access_token"`
		Device string `json:"device_id"`
	}
	if err := p.Do(ctx, "POST", "/_matrix/client/v3/login", map[string]any{"type": "m.login.password", "password": p.password(),
		"identifier": map[string]string{"type": "m.id.user", "user": p.UserID}}, &a); err != nil {
		return err
	}
	p.extra = append(p.extra, &mx.Client{URL: p.URL, Token: a.Token, DeviceID: a.Device})
	return p.uploadKeys(ctx, a.Token, a.Device, r.IntN(1000))
}

func logOut(ctx context.Context, _ *realm, p, _ *soul, _ *hall, r *rand.Rand) error {
	if len(p.extra) == 0 {
		return nil
	}
	i := r.IntN(len(p.extra))
	err := p.extra[i].Do(ctx, "POST", "/_matrix/client/v3/logout", map[string]any{}, nil)
	if err == nil {
		p.extra = append(p.extra[:i:i], p.extra[i+1:]...)
	}
	return err
}

// password is what mx.Register made of his name.
func (p *soul) password() string { return "pass word " + matrix.UserID(p.UserID).Localpart() }

// crossSign publishes new cross-signing keys.
func crossSign(ctx context.Context, w *realm, p, _ *soul, _ *hall, _ *rand.Rand) error {
	p.cross++
	key := func(usage string) (string, ed25519.PrivateKey, map[string]any) {
		seed := sha256.Sum256(fmt.Append(nil, w.seed, p.UserID, usage, p.cross))
		k := ed25519.NewKeyFromSeed(seed[:])
		pub := base64.RawStdEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
		return pub, k, map[string]any{"user_id": p.UserID, "usage": []string{usage}, "keys": map[string]string{"ed25519:" + pub: pub}}
	}
	pub, k, master := key("master")
	_, _, self := key("self_signing")
	raw, err := json.Marshal(self)
	if err != nil {
		return err
	}
	signed, err := matrix.SignJSON(raw, matrix.SigningKey{ServerName: matrix.ServerName(p.UserID), KeyID: "ed25519:" + pub, Private: k})
	if err != nil {
		return err
	}
	return p.Do(ctx, "POST", "/_matrix/client/v3/keys/device_signing/upload", map[string]any{"master_key": master, "self_signing_key": json.RawMessage(signed),
		"auth": map[string]any{"type": "m.login.password", "password": p.password(), "identifier": map[string]string{"type": "m.id.user", "user": p.UserID}}}, nil)
}

// post sends a message to somebody's device, until its server has it.
func post(ctx context.Context, w *realm, p, other *soul, _ *hall, r *rand.Rand) error {
	id := fmt.Sprint("post", r.Uint64())
	err := surely(ctx, func() error {
		return p.Do(ctx, "PUT", "/_matrix/client/v3/sendToDevice/org.example.post/"+id, map[string]any{"messages": map[string]any{
			other.UserID: map[string]any{other.DeviceID: map[string]string{"id": id}}}}, nil)
	})
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.posted[id] = other
	}
	return err
}

func upgrade(ctx context.Context, w *realm, p, _ *soul, h *hall, _ *rand.Rand) error {
	var a struct {
		Room string `json:"replacement_room"`
	}
	err := p.Do(ctx, "POST", room(h.id)+"/upgrade", map[string]string{"new_version": "12"}, &a)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.halls = append(w.halls, newHall(a.Room, loose))
	}
	return err
}
