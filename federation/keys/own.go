package keys

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rempart/internal/matrix"
)

// publishTime is how long others may rely on our answer without asking again.
const publishTime = 24 * time.Hour

// Publish is what we tell others of the keys of one of our servers, signed by each of them; M_NOT_FOUND for a server that is not
// ours. Spec: server-server-api/#publishing-keys
func (r *Ring) Publish(name matrix.ServerName) (json.RawMessage, error) {
	own, ok := r.Own[name]
	if !ok {
		return nil, matrix.NotFound("This server has no keys of that server.")
	}
	res := response{
		ServerName: name, Verify: map[string]publicKey{}, Old: map[string]oldKey{},
		ValidUntil: r.Clock().Add(publishTime).UnixMilli(),
	}
	for _, k := range own {
		res.Verify[k.KeyID] = publicKey{base64.RawStdEncoding.EncodeToString(k.Public())}
	}
	for _, k := range r.Old[name] {
		res.Old[k.KeyID] = oldKey{base64.RawStdEncoding.EncodeToString(k.Public), k.Expired}
	}
	raw, err := json.Marshal(res)
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	for _, k := range own {
		if raw, err = matrix.SignJSON(raw, k); err != nil {
			return nil, fmt.Errorf("sign keys: %w", err)
		}
	}
	return raw, nil
}

// Asked says which of our servers a Host header means; the default one when it names none.
func (r *Ring) Asked(host string) matrix.ServerName {
	for name := range r.Own {
		if strings.EqualFold(string(name), host) || strings.EqualFold(name.Host(), host) {
			return name
		}
	}
	return r.Default
}
