package keys

import (
	"fmt"
	"slices"
	"time"

	"rempart/internal/matrix"
)

// Check reads what a server answers about its keys, and gives the ids of those in use. It is an error when another server would not
// believe the answer. Spec: server-server-api/#publishing-keys
func Check(name matrix.ServerName, raw []byte, now time.Time) ([]string, error) {
	found, err := parse(name, raw, now)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, k := range found {
		if k.Expired != 0 {
			continue
		}
		if k.ValidUntil <= now.UnixMilli() {
			return nil, fmt.Errorf("key %s counts until %s, which is over: is a clock wrong?", k.KeyID, time.UnixMilli(k.ValidUntil).Format(time.RFC3339))
		}
		ids = append(ids, k.KeyID)
	}
	slices.Sort(ids)
	return ids, nil
}
