package devices

import (
	"encoding/json"

	"rempart/internal/matrix"
)

// AppendJSON writes the answer.
// Why not encoding/json: it reads every key anew to see whether it is JSON, which is most of the work of a query for
// many people.
func (k *Keys) AppendJSON(dst []byte) ([]byte, error) {
	dst = append(dst, `{"device_keys":{`...)
	for user, devices := range k.DeviceKeys {
		dst = append(appendName(dst, string(user)), '{')
		for id, body := range devices {
			dst = append(append(appendName(dst, string(id)), body...), ',')
		}
		dst = append(endObject(dst), ',')
	}
	dst = append(endObject(dst), `,"failures":`...)
	failures, err := json.Marshal(k.Failures)
	if err != nil {
		return nil, err
	}
	dst = append(dst, failures...)
	for _, part := range []struct {
		name string
		keys map[matrix.UserID]json.RawMessage
	}{{"master_keys", k.Master}, {"self_signing_keys", k.SelfSigning}, {"user_signing_keys", k.UserSigning}} {
		if len(part.keys) == 0 {
			continue
		}
		dst = append(appendName(append(dst, ','), part.name), '{')
		for user, body := range part.keys {
			dst = append(append(appendName(dst, string(user)), body...), ',')
		}
		dst = endObject(dst)
	}
	return append(dst, '}'), nil
}

// AppendJSON writes the keys that were handed out.
func (out Claimed) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for user, devices := range out {
		dst = append(appendName(dst, string(user)), '{')
		for id, keys := range devices {
			dst = append(appendName(dst, string(id)), '{')
			for name, body := range keys {
				dst = append(append(appendName(dst, name), body...), ',')
			}
			dst = append(endObject(dst), ',')
		}
		dst = append(endObject(dst), ',')
	}
	return endObject(dst)
}

func appendName(dst []byte, name string) []byte {
	return append(matrix.AppendJSONString(dst, name), ':')
}

// endObject closes an object whose last member may be followed by a comma.
func endObject(dst []byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '}')
}
