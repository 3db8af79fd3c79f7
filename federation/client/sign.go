package client

import (
	"crypto/ed25519"
	"encoding/base64"
	"slices"

	"rempart/internal/matrix"
)

// Authorization is the header by which a request is signed. content is the JSON body, nil when there is none.
// Spec: server-server-api/#request-authentication
func Authorization(key matrix.SigningKey, to matrix.ServerName, method, uri string, content []byte) (string, error) {
	signed, err := SignedRequest(method, uri, key.ServerName, to, content)
	if err != nil {
		return "", err
	}
	return string(appendAuthorization(nil, key, to, signed)), nil
}

func appendAuthorization(b []byte, key matrix.SigningKey, to matrix.ServerName, signed []byte) []byte {
	b = append(append(b, `X-Matrix origin="`...), key.ServerName...)
	b = append(append(b, `",destination="`...), to...)
	b = append(append(b, `",key="`...), key.KeyID...)
	b = base64.RawStdEncoding.AppendEncode(append(b, `",sig="`...), ed25519.Sign(key.Private, signed))
	return append(b, '"')
}

// SignedRequest is the canonical JSON that a request's signature covers. An empty destination leaves it out.
func SignedRequest(method, uri string, origin, destination matrix.ServerName, content []byte) ([]byte, error) {
	return matrix.CanonicalJSON(appendRequest(nil, method, uri, origin, destination, content))
}

// appendRequest appends the same for content that is canonical, which is then not looked at.
func appendRequest(b []byte, method, uri string, origin, destination matrix.ServerName, content []byte) []byte {
	b = append(slices.Grow(b, len(content)+len(uri)+256), '{')
	if content != nil {
		b = append(append(append(b, `"content":`...), content...), ',')
	}
	if destination != "" {
		b = append(matrix.AppendJSONString(append(b, `"destination":`...), destination), ',')
	}
	b = append(matrix.AppendJSONString(append(b, `"method":`...), method), ',')
	b = append(matrix.AppendJSONString(append(b, `"origin":`...), origin), ',')
	b = matrix.AppendJSONString(append(b, `"uri":`...), uri)
	return append(b, '}')
}
