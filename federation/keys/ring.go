// Package keys is the key ring: the public keys of other servers, fetched from these themselves, and our own as others
// are told them.
//
// Keys are kept in the database and in memory. A server is asked for its keys when one is needed that is not known, or no longer
// valid at the time in question, and never more often than its back-off allows. No notary is asked, and the ring answers
// about nobody but ourselves.
package keys

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Fetcher asks a server for its keys; federation/client does.
type Fetcher interface {
	ServerKeys(ctx context.Context, server matrix.ServerName) (json.RawMessage, error)
}

// Options is what a ring is made of.
type Options struct {
	DB    *storage.DB
	Fetch Fetcher
	// Own are the signing keys of the servers of this installation, and Old those that were.
	Own map[matrix.ServerName][]matrix.SigningKey
	Old map[matrix.ServerName][]matrix.OldKey
	// Default is the one of them that answers requests which name none.
	Default matrix.ServerName
	// Pinned reports whether a key (unpadded base64) is one that was agreed upon with its server; nil believes what servers publish.
	Pinned func(server matrix.ServerName, keyID, key string) bool
	Log    *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Ring holds keys. It may be used concurrently.
type Ring struct {
	Options
	mu      sync.Mutex
	servers map[matrix.ServerName]*server
}

// server is what is known of one server. keys is replaced, never changed; it is guarded by the ring's mutex. The other fields
// belong to who holds the token in lock.
type server struct {
	keys map[string]storage.ServerKey // by key id; nil until read from the database

	lock     chan struct{}
	next     time.Time // not to be asked before
	failures int
	silent   bool // gave no answer when it was asked last
}

// Bounds of what is kept and how often servers are asked.
const (
	maxServers = 4096
	fetchTime  = 15 * time.Second
	calmTime   = 30 * time.Second // between two answers
	retryTime  = 2 * time.Second  // doubles with each failure
	// maxRetry is no more than the inbox pauses at most between attempts: what waits there for keys would wait in vain.
	maxRetry = time.Minute
	maxValid = 7 * 24 * time.Hour
)

// New makes a ring.
func New(o Options) *Ring {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Ring{Options: o, servers: map[matrix.ServerName]*server{}}
}

// Key is a server's public key, if it was valid at a time in milliseconds; 0 asks for no time, as room versions 1 to 4 do.
// A key that is unknown or was not valid is M_UNAUTHORIZED; it is [core.ErrUnreached] besides where its server did not answer.
func (r *Ring) Key(ctx context.Context, name matrix.ServerName, keyID string, validAt int64) (ed25519.PublicKey, error) {
	if own, ok := r.Own[name]; ok {
		return ownKey(own, r.Old[name], keyID, validAt)
	}
	pub, err := r.theirs(ctx, name, keyID, validAt)
	if err == nil && r.Pinned != nil && !r.Pinned(name, keyID, base64.RawStdEncoding.EncodeToString(pub)) {
		return nil, matrix.Unauthorized("The key " + keyID + " of " + string(name) + " is not the one that was agreed upon.")
	}
	return pub, err
}

// theirs is a key of another server, which is asked for it if need be.
func (r *Ring) theirs(ctx context.Context, name matrix.ServerName, keyID string, validAt int64) (ed25519.PublicKey, error) {
	s := r.server(name)
	if pub := usable(r.known(s), keyID, validAt); pub != nil {
		return pub, nil
	}
	select {
	case <-s.lock:
	case <-ctx.Done():
		return nil, errors.Join(core.ErrUnreached, ctx.Err())
	}
	defer func() { s.lock <- struct{}{} }()
	if err := r.load(ctx, name, s); err != nil {
		return nil, err
	}
	if pub := usable(r.known(s), keyID, validAt); pub != nil {
		return pub, nil
	}
	reason := r.refresh(ctx, name, s)
	if pub := usable(r.known(s), keyID, validAt); pub != nil {
		return pub, nil
	}
	refusal := matrix.Unauthorized("No valid key " + keyID + " of " + string(name) + " is known.")
	switch {
	case core.Unreached(reason):
		return nil, refusal.Wrap(errors.Join(core.ErrUnreached, reason))
	case reason != nil:
		return nil, refusal.Wrap(reason)
	}
	return nil, refusal
}

// ownKey finds one of our own keys.
func ownKey(own []matrix.SigningKey, old []matrix.OldKey, keyID string, validAt int64) (ed25519.PublicKey, error) {
	for _, k := range own {
		if k.KeyID == keyID {
			return k.Public(), nil
		}
	}
	for _, k := range old {
		if k.KeyID == keyID && (validAt == 0 || validAt <= k.Expired) {
			return k.Public, nil
		}
	}
	return nil, matrix.Unauthorized("No valid key " + keyID + " of this server is known.")
}

// usable picks a key that was valid at a time. Spec: server-server-api/#retrieving-server-keys
func usable(keys map[string]storage.ServerKey, keyID string, validAt int64) ed25519.PublicKey {
	k, ok := keys[keyID]
	until := k.ValidUntil
	if k.Expired != 0 {
		until = k.Expired
	}
	if !ok || validAt != 0 && validAt > until {
		return nil
	}
	return k.Public
}

func (r *Ring) known(s *server) map[string]storage.ServerKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.keys
}

func (r *Ring) keep(s *server, keys map[string]storage.ServerKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.keys = keys
}

// server finds or makes the entry of a server.
func (r *Ring) server(name matrix.ServerName) *server {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.servers[name]; s != nil {
		return s
	}
	for other := range r.servers { // Go's map order is random, so anyone may be forgotten; the database knows it still
		if len(r.servers) < maxServers {
			break
		}
		delete(r.servers, other)
	}
	s := &server{lock: make(chan struct{}, 1)}
	s.lock <- struct{}{}
	r.servers[name] = s
	return s
}

// load reads what the database has of a server, once.
func (r *Ring) load(ctx context.Context, name matrix.ServerName, s *server) error {
	if r.known(s) != nil {
		return nil
	}
	list, err := r.DB.ListServerKeys(ctx, name)
	if err != nil {
		return fmt.Errorf("read keys of %s: %w", name, err)
	}
	keys := make(map[string]storage.ServerKey, len(list))
	for _, k := range list {
		if len(k.Public) == ed25519.PublicKeySize {
			keys[k.KeyID] = k
		}
	}
	r.keep(s, keys)
	return nil
}

// refresh asks a server for its keys, unless that was done a moment ago. It returns why there is nothing new.
func (r *Ring) refresh(ctx context.Context, name matrix.ServerName, s *server) error {
	began := r.Clock()
	if began.Before(s.next) {
		err := fmt.Errorf("%s was asked for its keys a moment ago", name)
		if s.silent {
			return err
		}
		return answer{err}
	}
	// Why a context of its own: the answer serves everybody who waits, not only who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	err := r.fetch(ctx, name, s)
	now := r.Clock()
	s.silent = core.Unreached(err)
	if err != nil {
		// Why as long as it took at least: who waits for a server that says nothing is to do so half of the time at most.
		s.next = now.Add(max(now.Sub(began), min(retryTime<<min(s.failures, 12), maxRetry)))
		s.failures++
		r.Log.Info("keys of a server cannot be had", "server", name, "error", err)
		return err
	}
	s.failures, s.next = 0, now.Add(calmTime)
	return nil
}

// answer is what is wrong with what a server said: it was reached all the same.
type answer struct{ error }

// Unwrap gives what is wrong.
func (a answer) Unwrap() error { return a.error }

// Answered is a status of success: it was given with the answer.
func (answer) Answered() int { return http.StatusOK }

// fetch asks once and keeps what it learns.
func (r *Ring) fetch(ctx context.Context, name matrix.ServerName, s *server) error {
	raw, err := r.Fetch.ServerKeys(ctx, name)
	if err != nil {
		return err
	}
	now := r.Clock()
	learnt, err := parse(name, raw, now)
	if err != nil {
		return answer{err}
	}
	keys, change := map[string]storage.ServerKey{}, &storage.Change{}
	for id, k := range r.known(s) {
		keys[id] = k
	}
	for _, k := range learnt {
		if old, ok := keys[k.KeyID]; ok && replaced(old, k, now) {
			r.Log.Warn("a server shows another key under the id of a valid one; the old one is kept", "server", name, "key", k.KeyID)
			continue
		}
		keys[k.KeyID] = k
		change.Add(&storage.ServerKeyRow{ServerKey: k})
	}
	if err := r.DB.Commit(ctx, change); err != nil {
		return fmt.Errorf("keep keys of %s: %w", name, err)
	}
	r.keep(s, keys)
	return nil
}

// replaced reports whether a key takes the id of another that is still valid.
// Why not accepted: whoever holds a server's address for a moment could put his key in its place. Once the old one has run out, after at
// most a week, the new one is taken: a server that lost its key and reused the id must be able to return.
func replaced(old, k storage.ServerKey, now time.Time) bool {
	return string(old.Public) != string(k.Public) && old.Expired == 0 && old.ValidUntil >= now.UnixMilli()
}
