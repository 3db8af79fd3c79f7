package client

import (
	"crypto/ed25519"
	"encoding/base64"

	"rempart/internal/matrix"
)

// Authorization is the header by which a request is signed. content is the JSON body, nil when there is none.
// Spec: server-server-api/#request-authentication
func Authorization(key matrix.SigningKey, to matrix.ServerName, method, uri string, content []byte) (string, error) {
	signed, err := SignedRequest(method, uri, key.ServerName, to, content)
	if err != nil {
		return "", err
	}
	return authorization(key, to, signed), nil
}

func authorization(key matrix.SigningKey, to matrix.ServerName, signed []byte) string {
	sig := base64.RawStdEncoding.EncodeToString(ed25519.Sign(key.Private, signed))
	return `X-Matrix origin="` + string(key.ServerName) + `",destination="` + string(to) +
		`",key="` + key.KeyID + `",sig="` + sig + `"`
}

// SignedRequest is the canonical JSON that a request's signature covers. An empty destination leaves it out.
func SignedRequest(method, uri string, origin, destination matrix.ServerName, content []byte) ([]byte, error) {
	return matrix.CanonicalJSON(requestText(method, uri, origin, destination, content))
}

// requestText is the same for content that is canonical, which is then not looked at.
func requestText(method, uri string, origin, destination matrix.ServerName, content []byte) []byte {
	b := make([]byte, 0, len(content)+len(uri)+256)
	b = append(b, '{')
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
