package matrix

import (
	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Decode reads what somebody wrote into an event, an ephemeral message or account data as encoding/json does, but for one thing: a key
// counts in its own letters only, as other servers and clients read it. Values of another type are left out; the first of them is the error.
//
// Why not encoding/json: it takes "MEMBERSHIP" for "membership", and the last of both. Whoever wrote both would be judged by one and
// shown to others by the other.
func Decode(content []byte, into any) error {
	return json.Unmarshal(content, into, jsonv1.DefaultOptionsV1(), json.MatchCaseInsensitiveNames(false))
}

// The errors of [Decode]: what is no JSON, and a value of another type than its field.
type (
	SyntaxError = jsonv1.SyntaxError
	TypeError   = jsonv1.UnmarshalTypeError
)
