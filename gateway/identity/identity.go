// Package identity speaks the Identity Service API with the one identity server that is configured: whose an address of
// e-mail is, and what waits for whoever will have it. It goes out by the one way out, as the user who asks, whose token the
// identity server gave to the client. Spec: identity-service-api/
package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"rempart/core"
	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// Limits of one request.
const (
	timeout   = 15 * time.Second
	maxAnswer = 64 << 10
)

// Client asks one identity server. It may be used concurrently.
type Client struct {
	base  string // without a slash at its end
	host  string
	http  egress.Doer
	agent string
}

var _ core.IdentityServer = (*Client)(nil)

// New makes a client for the identity server at a base address, such as https://identity.example.org.
func New(base string, http egress.Doer, agent string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("address of the identity server: %w", err)
	}
	return &Client{base: strings.TrimRight(base, "/"), host: u.Host, http: http, agent: agent}, nil
}

// Is reports whether a name that a client gives, a host with or without a scheme, is that of this server.
func (c *Client) Is(name string) bool {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	return strings.EqualFold(strings.TrimRight(name, "/"), c.host)
}

// Lookup finds whose an address is; "" when it is nobody's. The address is told as a hash where the server can take it so.
// Spec: identity-service-api/#post_matrixidentityv2lookup
func (c *Client) Lookup(ctx context.Context, token, medium, address string) (matrix.UserID, error) {
	for again := false; ; again = true {
		user, err := c.lookup(ctx, token, medium, address)
		if again || !matrix.HasCode(err, "M_INVALID_PEPPER") { // it changed in between
			return user, err
		}
	}
}

func (c *Client) lookup(ctx context.Context, token, medium, address string) (matrix.UserID, error) {
	var how struct {
		Algorithms []string `json:"algorithms"`
		Pepper     string   `json:"lookup_pepper"`
	}
	if err := c.do(ctx, token, http.MethodGet, "hash_details", nil, &how); err != nil {
		return "", err
	}
	ask := struct {
		Addresses []string `json:"addresses"`
		Algorithm string   `json:"algorithm"`
		Pepper    string   `json:"pepper"`
	}{Pepper: how.Pepper}
	switch {
	case slices.Contains(how.Algorithms, "sha256"):
		sum := sha256.Sum256([]byte(address + " " + medium + " " + how.Pepper))
		ask.Algorithm, ask.Addresses = "sha256", []string{base64.RawURLEncoding.EncodeToString(sum[:])}
	case slices.Contains(how.Algorithms, "none"):
		ask.Algorithm, ask.Addresses = "none", []string{address + " " + medium}
	default:
		return "", notUnderstood(nil)
	}
	var found struct {
		Mappings map[string]matrix.UserID `json:"mappings"`
	}
	if err := c.do(ctx, token, http.MethodPost, "lookup", ask, &found); err != nil {
		return "", err
	}
	user := found.Mappings[ask.Addresses[0]]
	if user == "" {
		return "", nil
	}
	if _, err := matrix.ParseUserID(string(user)); err != nil {
		return "", notUnderstood(err)
	}
	return user, nil
}

// StoreInvite leaves an invitation for whoever will have an address; the server writes him a letter.
// Spec: identity-service-api/#post_matrixidentityv2store-invite
func (c *Client) StoreInvite(ctx context.Context, token string, invite map[string]string) (*core.StoredInvite, error) {
	var stored core.StoredInvite
	if err := c.do(ctx, token, http.MethodPost, "store-invite", invite, &stored); err != nil {
		return nil, err
	}
	if stored.Token == "" || len(stored.Token) > 255 || len(stored.Keys) == 0 || len(stored.Keys) > 8 {
		return nil, notUnderstood(nil)
	}
	return &stored, nil
}

// do makes one request. What the identity server refuses is told with its own code.
func (c *Client) do(ctx context.Context, token, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/_matrix/identity/v2/"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		var known *matrix.Error
		if errors.As(err, &known) { // the judge's refusal
			return known
		}
		return unreachable(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return unreachable(err)
	}
	if len(answer) > maxAnswer {
		return notUnderstood(nil)
	}
	if res.StatusCode != http.StatusOK {
		return refusal(res.StatusCode, answer)
	}
	if err := matrix.Decode(answer, into); err != nil {
		return notUnderstood(err)
	}
	return nil
}

// refusal is what the identity server answered instead.
// Why never 401: a client takes that for the end of its session here.
func refusal(status int, answer []byte) error {
	var e struct {
		Code    string `json:"errcode"`
		Message string `json:"error"`
	}
	if matrix.Decode(answer, &e) != nil || e.Code == "" || len(e.Code) > 100 || len(e.Message) > 1000 {
		return notUnderstood(fmt.Errorf("status %d", status))
	}
	if e.Code == matrix.CodeUnknownToken || e.Code == matrix.CodeMissingToken {
		e.Code = matrix.CodeUnauthorized
	}
	if status == http.StatusUnauthorized || status < 400 || status > 499 {
		status = http.StatusForbidden
	}
	return matrix.NewError(status, e.Code, "The identity server refuses: "+e.Message).
		French("Le serveur d'identité refuse : " + e.Message)
}

func unreachable(cause error) error {
	return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "The identity server cannot be reached. Try again later.").
		French("Le serveur d'identité est injoignable. Réessayez plus tard.").Wrap(cause)
}

func notUnderstood(cause error) error {
	return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "The identity server's answer is not understood.").
		French("La réponse du serveur d'identité n'est pas comprise.").Wrap(cause)
}
