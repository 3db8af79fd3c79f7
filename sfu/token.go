package sfu

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Grant is what a token lets its holder do in one room, in the words of the media server.
type Grant struct {
	Room         string `json:"room,omitempty"`
	RoomJoin     bool   `json:"roomJoin,omitempty"`
	RoomCreate   bool   `json:"roomCreate"`
	RoomAdmin    bool   `json:"roomAdmin,omitempty"`
	RoomList     bool   `json:"roomList,omitempty"`
	CanPublish   bool   `json:"canPublish"`
	CanSubscribe bool   `json:"canSubscribe"`
	// CanPublishData lets clients send the small messages of a call; who may not publish may not send those either.
	CanPublishData bool `json:"canPublishData"`
}

// Claims are the content of a token.
type Claims struct {
	Issuer    string `json:"iss"`
	Identity  string `json:"sub"`
	NotBefore int64  `json:"nbf"` // seconds
	Expires   int64  `json:"exp"` // seconds
	Video     Grant  `json:"video"`
}

// Keys are the name and the secret by which tokens are signed.
type Keys struct{ Name, Secret string }

// leeway is by how much clocks may differ.
const leeway = time.Minute

// header is that of every token. RFC 7519
const header = `{"alg":"HS256","typ":"JWT"}`

// errToken is the one error of tokens. Why no more: whoever has a bad one is told nothing about it.
var errToken = errors.New("the token is not valid")

// Sign makes a token.
func (k Keys) Sign(identity string, g Grant, life time.Duration, now time.Time) string {
	body, _ := json.Marshal(Claims{Issuer: k.Name, Identity: identity, NotBefore: now.Add(-leeway).Unix(), Expires: now.Add(life).Unix(), Video: g})
	text := encode([]byte(header)) + "." + encode(body)
	return text + "." + encode(k.mac(text))
}

// Verify reads a token that was signed with these keys and is valid now.
func (k Keys) Verify(token string, now time.Time) (Claims, error) {
	var c Claims
	text, mac, ok := cutLast(token)
	head, body, _ := strings.Cut(text, ".")
	if !ok || k.Secret == "" {
		return c, errToken
	}
	var alg struct {
		Alg string `json:"alg"`
	}
	sum, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || !hmac.Equal(sum, k.mac(text)) || decode(head, &alg) != nil || alg.Alg != "HS256" || decode(body, &c) != nil {
		return Claims{}, errToken
	}
	if c.Issuer != k.Name || now.Unix() > c.Expires || now.Add(leeway).Unix() < c.NotBefore {
		return Claims{}, errToken
	}
	return c, nil
}

func (k Keys) mac(text string) []byte {
	h := hmac.New(sha256.New, []byte(k.Secret))
	h.Write([]byte(text))
	return h.Sum(nil)
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
