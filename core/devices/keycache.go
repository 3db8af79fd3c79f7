package devices

import (
	"context"
	"errors"
	"maps"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// keyCacheBytes bounds the memory of cached keys: some ten thousand people's.
const keyCacheBytes = 24 << 20

// keyCache remembers the keys of our users, which are asked for whenever an encrypted conversation begins. What changes
// keys commits an entry of [storage.KindDeviceList], here or on another node; that entry is what forgets them.
// It may be used concurrently.
type keyCache struct {
	mu    sync.Mutex
	users map[int64]*userKeys
	bytes int
	// changes counts by user, roughly, so that what was read before a change is not kept after it.
	changes [256]uint64
}

// userKeys are the identity and cross-signing keys of a user, each with the signatures of his own. They never change.
type userKeys struct {
	devices []shownDevice
	names   []storage.DeviceName // of those of our users
	cross   []shownCross
	// foreign are signatures by others, which nobody but their makers sees.
	foreign map[int64][]storage.KeySignature
	size    int
}

type shownDevice struct {
	id   matrix.DeviceID
	name string
	body []byte
}

type shownCross struct {
	usage, keyID string
	body         []byte
}

func newKeyCache() *keyCache { return &keyCache{users: map[int64]*userKeys{}} }

// hear forgets whose keys changed.
func (k *keyCache) hear(b storage.Batch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range b.Lives {
		if l := &b.Lives[i]; l.Kind == storage.KindDeviceList {
			k.changes[uint64(l.User)%uint64(len(k.changes))]++
			k.drop(l.User)
		}
	}
}

// drop forgets one user; mu is held.
func (k *keyCache) drop(user int64) {
	if u := k.users[user]; u != nil {
		k.bytes -= u.size
		delete(k.users, user)
	}
}

// get adds those that are known to found and returns the others, with what put is to be given for them.
func (k *keyCache) get(users []int64, found map[int64]*userKeys) (missing []int64, seen [256]uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, user := range users {
		if u := k.users[user]; u != nil {
			found[user] = u
		} else {
			missing = append(missing, user)
		}
	}
	return missing, k.changes
}

// put keeps what was read, unless it changed meanwhile.
func (k *keyCache) put(read map[int64]*userKeys, users []int64, seen *[256]uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, user := range users {
		u, slot := read[user], uint64(user)%uint64(len(k.changes))
		if u == nil || k.changes[slot] != seen[slot] || u.size > keyCacheBytes/64 {
			continue
		}
		k.drop(user)
		for other := range k.users { // Why any: there is room for all who speak at a time
			if k.bytes+u.size <= keyCacheBytes {
				break
			}
			k.drop(other)
		}
		k.users[user] = u
		k.bytes += u.size
	}
}

// keysOf reads the keys of users of ours, from memory as far as they are there; those of others always from the database.
func (s *Service) keysOf(ctx context.Context, ours, others []int64) (map[int64]*userKeys, error) {
	found := make(map[int64]*userKeys, len(ours)+len(others))
	var missing []int64
	var seen [256]uint64
	if missing = ours; s.cache != nil {
		missing, seen = s.cache.get(ours, found)
	}
	if len(missing)+len(others) == 0 {
		return found, nil
	}
	if err := readKeys(ctx, s.db, append(missing[:len(missing):len(missing)], others...), found); err != nil {
		return nil, err
	}
	if s.cache != nil {
		s.cache.put(found, missing, &seen)
	}
	return found, nil
}

// readKeys reads the keys of users from the database, all in three questions.
func readKeys(ctx context.Context, db *storage.DB, users []int64, into map[int64]*userKeys) error {
	own := map[signed][]storage.KeySignature{}
	of := func(user int64) *userKeys {
		u := into[user]
		if u == nil {
			u = &userKeys{size: 128}
			into[user] = u
		}
		return u
	}
	for _, user := range users {
		into[user] = nil
		of(user)
	}
	signatures, err := db.ListKeySignatures(ctx, users)
	if err != nil {
		return err
	}
	for _, sig := range signatures {
		if sig.Signer == sig.User {
			own[signed{sig.User, sig.Target}] = append(own[signed{sig.User, sig.Target}], sig)
			continue
		}
		u := of(sig.User)
		if u.foreign == nil {
			u.foreign = map[int64][]storage.KeySignature{}
		}
		u.foreign[sig.Signer] = append(u.foreign[sig.Signer], sig)
		u.size += 160 + len(sig.KeyID) + len(sig.Signature) + len(sig.Target)
	}
	devices, err := db.ListDeviceKeys(ctx, users)
	if err != nil {
		return err
	}
	for _, d := range devices {
		body, err := addSignatures(ctx, db, d.Body, own[signed{d.User, string(d.Device)}])
		if err != nil {
			return err
		}
		u := of(d.User)
		u.devices = append(u.devices, shownDevice{d.Device, d.DisplayName, body})
		u.size += 96 + len(d.Device) + len(d.DisplayName) + len(body)
		if d.NID != 0 {
			u.names = append(u.names, storage.DeviceName{NID: d.NID, ID: d.Device})
			u.size += 24
		}
	}
	keys, err := db.ListCrossSigning(ctx, users)
	if err != nil {
		return err
	}
	for _, k := range keys {
		body, err := addSignatures(ctx, db, k.Body, own[signed{k.User, k.KeyID}])
		if err != nil {
			return err
		}
		u := of(k.User)
		u.cross = append(u.cross, shownCross{k.Usage, k.KeyID, body})
		u.size += 96 + len(k.KeyID) + len(body)
	}
	return nil
}

// findDevices finds devices of our users, among them all that were asked for by name and exist. It reads those that are not in memory, and
// those of whom a device was asked for that has no keys, or "*".
func findDevices[V any](ctx context.Context, s *Service, asked map[matrix.UserID]map[matrix.DeviceID]V) (
	users map[int64]matrix.UserID, lists map[int64][]storage.DeviceName, err error,
) {
	users = make(map[int64]matrix.UserID, len(asked))
	nids := make([]int64, 0, len(asked))
	for user := range asked {
		if !s.local(user.Server()) {
			continue
		}
		nid, err := s.db.FindUserNID(ctx, user)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		users[nid] = user
		nids = append(nids, nid)
	}
	known := make(map[int64]*userKeys, len(nids))
	if s.cache != nil {
		s.cache.get(nids, known)
	}
	lists = make(map[int64][]storage.DeviceName, len(nids))
	var unknown []int64
	for _, nid := range nids {
		if u := known[nid]; u != nil && hasAll(u.names, asked[users[nid]]) {
			lists[nid] = u.names
		} else {
			unknown = append(unknown, nid)
		}
	}
	if len(unknown) == 0 {
		return users, lists, nil
	}
	read, err := s.db.ListDevicesOf(ctx, unknown)
	maps.Copy(lists, read)
	return users, lists, err
}

// hasAll reports whether all devices asked for are among the names.
func hasAll[V any](names []storage.DeviceName, asked map[matrix.DeviceID]V) bool {
	left := len(asked)
	for _, d := range names {
		if _, ok := asked[d.ID]; ok {
			left--
		}
	}
	return left == 0
}
