package search

import (
	"encoding/base64"
	"encoding/json"
	"math"

	"rempart/internal/matrix"
)

// Token names a place in the results of a search.
type Token struct {
	// Before bounds the hits that the page is cut from; 0 is none.
	Before int64 `json:"b,omitempty"`
	// Offset is how many of them, in the order asked for, were on earlier pages, Passed how many stand before them.
	Offset int `json:"o,omitempty"`
	Passed int `json:"p,omitempty"`
	// Room and Sender are the group that the page belongs to, by number.
	Room   int64 `json:"r,omitempty"`
	Sender int64 `json:"s,omitempty"`
}

func (t *Token) before() int64 {
	if t.Before == 0 {
		return math.MaxInt64
	}
	return t.Before
}

// String is the token as clients get it.
func (t *Token) String() string {
	body, _ := json.Marshal(t) // numbers only
	return base64.RawURLEncoding.EncodeToString(body)
}

// ParseToken reads a token; "" is the beginning.
func ParseToken(text string) (t Token, err error) {
	if text == "" {
		return t, nil
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = matrix.Decode(body, &t)
	}
	if err != nil || t.Offset < 0 || t.Passed < 0 {
		return t, matrix.InvalidParam("next_batch must be what an earlier search gave.")
	}
	return t, nil
}
