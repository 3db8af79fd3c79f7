package users

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"rempart/core/border"
	"rempart/core/ledger"
	"rempart/internal/matrix"
)

// Bounds of what is remembered of profiles elsewhere.
const (
	remoteProfileFresh = time.Minute      // so long a profile is given out without asking again
	remoteProfileStale = 24 * time.Hour   // so long it stands in for a server that does not answer
	remoteProfilePause = 30 * time.Second // so long a user's server that did not answer is not asked again
	remoteProfileTime  = 10 * time.Second // for one question
	remoteProfileBytes = 8 << 20          // of all profiles together
	remoteProfileCost  = 256              // bytes of an entry besides the profile
)

// remoteProfile is what another server said of a user, and when.
type remoteProfile struct {
	whole   Profile
	refusal error // what it said instead
	read    time.Time
	asked   time.Time // the last time that it was asked, also in vain
	size    int
}

// remoteProfiles remembers profiles of users elsewhere.
type remoteProfiles struct {
	mu     sync.Mutex
	byUser map[matrix.UserID]*remoteProfile
	bytes  int
}

func (r *remoteProfiles) find(id matrix.UserID) remoteProfile {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.byUser[id]; p != nil {
		return *p
	}
	return remoteProfile{}
}

func (r *remoteProfiles) put(id matrix.UserID, p remoteProfile) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byUser == nil {
		r.byUser = map[matrix.UserID]*remoteProfile{}
	}
	p.size += remoteProfileCost
	if old := r.byUser[id]; old != nil {
		r.bytes -= old.size
	}
	r.byUser[id], r.bytes = &p, r.bytes+p.size
	for other, o := range r.byUser { // Go's map order is random
		if r.bytes <= remoteProfileBytes {
			return
		}
		if other != id {
			delete(r.byUser, other)
			r.bytes -= o.size
		}
	}
}

// LookUpProfile reads the profile of a user here, or asks his server for it. c is who wants to know; it may be nobody.
// Spec: client-server-api/#get_matrixclientv3profileuserid
func (s *Service) LookUpProfile(ctx context.Context, c matrix.Caller, id matrix.UserID) (Profile, error) {
	if s.Local(id.Server()) || s.peers == nil {
		if err := s.border.Ask(ctx, c.Server, id.Server(), border.Profile, "query profile", ledger.User(id)); err != nil {
			return nil, err
		}
		return s.GetProfile(ctx, id)
	}
	known, now := s.elsewhere.find(id), s.now()
	if !known.read.IsZero() && now.Sub(known.read) < remoteProfileFresh {
		return known.whole, known.refusal
	}
	if !known.asked.IsZero() && now.Sub(known.asked) < remoteProfilePause {
		return known.stale(now)
	}
	from := c.Server
	if from == "" {
		_, from = s.Tenant("")
	}
	fresh, err := s.askProfile(ctx, from, id)
	if ctx.Err() != nil {
		return nil, err
	}
	if refusal := matrix.RefusalOf(err); refusal != nil {
		return nil, refusal // Why not kept: the policy may change
	}
	if err != nil {
		s.log.Info("a profile could not be fetched", "user", id, "error", err)
		known.asked = now
		s.elsewhere.put(id, known)
		return known.stale(now)
	}
	s.elsewhere.put(id, fresh)
	return fresh.whole, fresh.refusal
}

// stale is the profile in place of an answer.
func (p remoteProfile) stale(now time.Time) (Profile, error) {
	if !p.read.IsZero() && now.Sub(p.read) < remoteProfileStale {
		return p.whole, p.refusal
	}
	return nil, matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "The user's server could not be reached.").
		French("Le serveur de cette personne n'a pas pu être joint.")
}

// askProfile asks a user's server; that it refuses is an answer too.
func (s *Service) askProfile(ctx context.Context, from matrix.ServerName, id matrix.UserID) (remoteProfile, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteProfileTime)
	defer cancel()
	p := remoteProfile{read: s.now()}
	p.asked = p.read
	raw, err := s.peers.Profile(ctx, from, id.Server(), id, "")
	var e *matrix.Error
	if matrix.RefusalOf(err) == nil && errors.As(err, &e) && (e.Code == matrix.CodeNotFound || e.Code == matrix.CodeForbidden) {
		p.refusal = matrix.NewError(e.Status, e.Code, "The user's server shows no profile of that user.")
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if len(raw) > maxProfileBytes {
		return p, errProfileTooLarge()
	}
	p.whole, err = readProfile(raw)
	p.size = len(raw)
	return p, err
}

// readProfile reads what another server says of a user. Fields that cannot be are left out.
// Why canonical: what is nested without end, or no text, is nothing that can be handed on.
func readProfile(raw []byte) (Profile, error) {
	body, err := matrix.CanonicalJSON(raw)
	if err != nil {
		return nil, err
	}
	var p Profile
	if err := matrix.Decode(body, &p); err != nil || p == nil {
		return nil, matrix.BadJSON("The profile has the wrong form.").Wrap(err)
	}
	for name, value := range p {
		isText := name == "displayname" || name == "avatar_url"
		if checkProfileKey(name) != nil || string(value) == "null" || isText && value[0] != '"' {
			delete(p, name)
		}
	}
	return p, nil
}

// LookUpProfileField is LookUpProfile for one field. Spec: client-server-api/#get_matrixclientv3profileuseridkeyname
func (s *Service) LookUpProfileField(ctx context.Context, c matrix.Caller, id matrix.UserID, name string) (json.RawMessage, error) {
	if err := checkProfileKey(name); err != nil {
		return nil, err
	}
	p, err := s.LookUpProfile(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return p.field(name)
}

func (p Profile) field(name string) (json.RawMessage, error) {
	value, ok := p[name]
	if !ok {
		return nil, matrix.NotFound("That user's profile has no such field.")
	}
	return value, nil
}
