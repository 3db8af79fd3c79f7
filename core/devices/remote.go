package devices

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of what is asked of other servers.
const (
	askWithin  = 10 * time.Second
	deadFor    = time.Minute
	maxResyncs = 64
	maxRemote  = 5000 // devices of one user of another server
	fetchTries = 5    // of a list of which changes are told while it is fetched
)

// byServer holds questions about users by the server that is to answer them.
type byServer[T any] map[matrix.ServerName]map[matrix.UserID]T

func (b byServer[T]) add(server matrix.ServerName, user matrix.UserID, q T) {
	if b[server] == nil {
		b[server] = map[matrix.UserID]T{}
	}
	b[server][user] = q
}

// ask puts a question to each server at once, and hands in what they answer, one after the other. A server that did not
// answer a moment ago is not waited for again.
func ask[T any](s *Service, ctx context.Context, b byServer[T], call func(ctx context.Context, to matrix.ServerName, users map[matrix.UserID]T) (json.RawMessage, error),
	take func(to matrix.ServerName, answer json.RawMessage, err error),
) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for to, users := range b {
		if s.peers == nil || s.isDead(to) {
			mu.Lock()
			take(to, nil, errDead)
			mu.Unlock()
			continue
		}
		wg.Go(func() {
			answer, err := call(ctx, to, users)
			s.noteDead(to, err)
			mu.Lock()
			defer mu.Unlock()
			take(to, answer, err)
		})
	}
	wg.Wait()
}

var errDead = errors.New("devices: this server cannot be asked")

func (s *Service) isDead(server matrix.ServerName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead[server].After(s.now())
}

// noteDead remembers a server that could not be reached; a refusal is an answer.
func (s *Service) noteDead(server matrix.ServerName, err error) {
	var refused *matrix.Error
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || errors.As(err, &refused) {
		delete(s.dead, server)
		return
	}
	if len(s.dead) >= 10_000 {
		clear(s.dead)
	}
	s.dead[server] = s.now().Add(deadFor)
}

// mustAsk reports whether the server of a user must be asked for his keys: nothing is kept of them, or what is may have changed. Of a
// server that cannot be asked, what is kept is of use all the same: doubtful says so.
func (s *Service) mustAsk(ctx context.Context, user matrix.UserID) (ask, doubtful bool, err error) {
	nid, err := s.db.FindUserNID(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		return true, false, nil
	}
	if err != nil {
		return false, false, err
	}
	_, err = s.db.FindRemoteDevices(ctx, nid)
	if errors.Is(err, storage.ErrNotFound) {
		if shared, err := s.db.SharesRoomWithUs(ctx, nid); err != nil || !shared {
			return true, false, err
		}
		s.resync(nid, user, becauseAsked) // Why asked besides: who queries now must not wait for two answers
		return true, false, nil
	}
	if err != nil {
		return false, false, err
	}
	fresh, err := s.db.IsRemoteListFresh(ctx, nid)
	if err != nil || fresh {
		return false, false, err
	}
	s.resync(nid, user, becauseAsked)
	dead := s.isDead(user.Server())
	return !dead, dead, nil
}

// queryOutside adds the keys of users of other servers. Spec: server-server-api/#post_matrixfederationv1userkeysquery
func (s *Service) queryOutside(ctx context.Context, from matrix.ServerName, remote byServer[[]matrix.DeviceID], into *Keys) {
	ask(s, ctx, remote, func(ctx context.Context, to matrix.ServerName, users map[matrix.UserID][]matrix.DeviceID) (json.RawMessage, error) {
		for user, list := range users {
			if list == nil {
				users[user] = []matrix.DeviceID{}
			}
		}
		body, err := json.Marshal(map[string]any{"device_keys": users})
		if err != nil {
			return nil, err
		}
		return s.peers.QueryKeys(ctx, from, to, body)
	}, func(to matrix.ServerName, raw json.RawMessage, err error) {
		var a Keys
		if err == nil {
			err = matrix.Decode(raw, &a)
		}
		if err != nil {
			into.Failures[to] = errUnreachable()
			return
		}
		for user := range remote[to] { // what is said of others is not believed
			into.DeviceKeys[user] = map[matrix.DeviceID]json.RawMessage{}
			for id, key := range a.DeviceKeys[user] {
				if body, ok := remoteKey(key, user, id); ok {
					into.DeviceKeys[user][id] = named(body, remoteName(key))
				}
			}
			if key, ok := remoteCross(a.Master[user], user, usageMaster); ok {
				into.Master[user] = key.Body
			}
			if key, ok := remoteCross(a.SelfSigning[user], user, usageSelf); ok {
				into.SelfSigning[user] = key.Body
			}
		}
	})
}

// claimOutside claims keys of devices of users of other servers.
// Spec: server-server-api/#post_matrixfederationv1userkeysclaim
func (s *Service) claimOutside(ctx context.Context, from matrix.ServerName, remote byServer[map[matrix.DeviceID]string], out Claimed,
	failures map[matrix.ServerName]Failure,
) {
	ask(s, ctx, remote, func(ctx context.Context, to matrix.ServerName, users map[matrix.UserID]map[matrix.DeviceID]string) (json.RawMessage, error) {
		body, err := json.Marshal(map[string]any{"one_time_keys": users})
		if err != nil {
			return nil, err
		}
		return s.peers.ClaimKeys(ctx, from, to, body)
	}, func(to matrix.ServerName, raw json.RawMessage, err error) {
		var a struct {
			Keys Claimed `json:"one_time_keys"`
		}
		if err == nil {
			err = matrix.Decode(raw, &a)
		}
		if err != nil {
			failures[to] = errUnreachable()
			return
		}
		for user, devices := range remote[to] {
			for id, algorithm := range devices {
				for name, raw := range a.Keys[user][id] {
					// Why so exact: a key that nobody asked for, or that is none, would spoil the answers of others.
					if key, err := parseKey(0, name, raw); err == nil && key.Algorithm == algorithm {
						out.add(claimant{user: user, device: id}, key)
						break
					}
				}
			}
		}
	})
}

// reason is why a list is fetched, by which those who share a room with its user are told.
type reason int

const (
	// becauseChanged: they have been told that it changed.
	becauseChanged reason = iota
	// becauseAsked: somebody asks for it, and asks again where there is no answer; the others are told if it has changed.
	becauseAsked
	// becauseMissed: changes of it were missed; they are told if it has changed, or if that cannot be found out.
	becauseMissed
)

// resync fetches the device list of a user of another server in the background; false where that is going on, or too much is.
func (s *Service) resync(nid int64, user matrix.UserID, why reason) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers == nil || s.resyncs[nid] || len(s.resyncs) >= maxResyncs || s.ctx.Err() != nil {
		return false
	}
	s.resyncs[nid] = true
	s.ended.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 3*askWithin)
		defer cancel()
		err := s.fetchList(ctx, nid, user, why)
		s.mu.Lock()
		delete(s.resyncs, nid)
		s.mu.Unlock()
		if err == nil {
			return
		}
		if s.ctx.Err() == nil {
			s.log.Info("fetch a device list", "user", user, "error", err)
		}
		if why == becauseMissed {
			s.doubt(context.WithoutCancel(ctx), nid)
		}
	})
	return true
}

// doubt tells those who share a room with a user of another server that the keys that they have of him may be old, where some are kept.
func (s *Service) doubt(ctx context.Context, nid int64) {
	if _, err := s.db.FindRemoteDevices(ctx, nid); err != nil {
		return // Why: who has asked was told that there is no answer, and asks again
	}
	change := &storage.Change{}
	change.Guard(storage.DropRemoteList(nid))
	listChanged(change, nid)
	if err := s.db.Commit(ctx, change); err != nil {
		s.log.Error("note that a device list may be old", "error", err)
	}
}

// fetchList fetches a whole device list and keeps it. Spec: server-server-api/#get_matrixfederationv1userdevicesuserid
func (s *Service) fetchList(ctx context.Context, nid int64, user matrix.UserID, why reason) (err error) {
	for range fetchTries {
		if err = s.fetchOnce(ctx, nid, user, why); !errors.Is(err, storage.ErrGuard) {
			return err
		}
	}
	return err
}

// fetchOnce is one attempt; ErrGuard says that his server told of a change meanwhile, which the answer need not hold.
func (s *Service) fetchOnce(ctx context.Context, nid int64, user matrix.UserID, why reason) error {
	from, err := s.ourSide(ctx, nid)
	if err != nil || from == "" {
		return err
	}
	before, err := s.db.FindRemoteList(ctx, nid)
	if err != nil {
		return err
	}
	began := s.db.Position() // Why not when it is answered: of who comes into a room in between nothing was told to us until then
	raw, err := s.peers.DeviceList(ctx, from, user.Server(), user)
	s.noteDead(user.Server(), err)
	if err != nil {
		return err
	}
	var list toldList
	if err := matrix.Decode(raw, &list); err != nil || list.UserID != user || list.Devices == nil || len(list.Devices) > maxRemote {
		return matrix.BadJSON("The device list has the wrong form.")
	}
	change := &storage.Change{}
	change.Guard(before.Still())
	change.Guard(storage.DropRemoteKeys(nid)...)
	for id, d := range list.devices() {
		if body, ok := remoteKey(d.Keys, user, id); ok {
			change.Add(&storage.DeviceKeysRow{User: nid, Device: id, Body: named(body, d.Name)})
		}
	}
	addRemoteCross(change, nid, user, list.Master, list.SelfSigning)
	if same, some, err := s.sameKeys(ctx, nid, change.Rows); err != nil {
		return err
	} else if !same && (before.Kept() || some && why != becauseChanged) {
		// Why also becauseChanged: another node has kept a list since people were told, from before the change, and may have given it to them.
		listChanged(change, nid)
	}
	change.Add(&storage.RemoteDevicesRow{At: storage.At{Pos: began}, User: nid, Stream: list.StreamID})
	return s.db.Commit(ctx, change)
}

// ourSide is the server of ours that has to do with a user of another: one whose user shares a room with him.
func (s *Service) ourSide(ctx context.Context, user int64) (matrix.ServerName, error) {
	id, err := s.db.FindLocalNeighbour(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return id.Server(), err
}

// addRemoteCross adds the cross-signing keys of a user of another server, where they have the right form.
func addRemoteCross(change *storage.Change, nid int64, user matrix.UserID, master, self json.RawMessage) {
	for usage, raw := range map[string]json.RawMessage{usageMaster: master, usageSelf: self} {
		if key, ok := remoteCross(raw, user, usage); ok {
			key.User = nid
			change.Add(&storage.CrossSigningRow{CrossSigningKey: key})
		}
	}
}

// sameKeys reports whether rows hold the keys that are kept of a user, and whether any are.
func (s *Service) sameKeys(ctx context.Context, nid int64, rows []storage.Row) (same, some bool, err error) {
	kept, err := s.db.ListDeviceKeys(ctx, []int64{nid})
	if err != nil {
		return false, false, err
	}
	cross, err := s.ownKeys(ctx, nid)
	if err != nil {
		return false, false, err
	}
	was := map[string]string{}
	for _, d := range kept {
		was["device "+string(d.Device)] = string(d.Body)
	}
	for usage, k := range cross {
		was[usage] = string(k.Body)
	}
	n := 0
	for _, row := range rows {
		key, body := "", ""
		switch k := row.(type) {
		case *storage.DeviceKeysRow:
			key, body = "device "+string(k.Device), string(k.Body)
		case *storage.CrossSigningRow:
			key, body = k.Usage, string(k.Body)
		default:
			continue
		}
		if n++; was[key] != body {
			return false, len(was) > 0, nil
		}
	}
	return n == len(was), len(was) > 0, nil
}
