package csapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// account is the answer of both ways to register.
type account struct {
	UserID string `json:"user_id"`
	Token  string `json:"access_token"`
	Device string `json:"device_id"`
}

func (a account) user() (User, error) {
	if a.UserID == "" || a.Token == "" {
		return User{}, errors.New("register: the answer has no user_id or no access_token")
	}
	return User{ID: a.UserID, Device: a.Device, Token: a.Token}, nil
}

// Register makes an account: by the shared secret when there is one, else by
// open registration with the dummy stage.
func (c *Client) Register(ctx context.Context, name, secret string) (User, error) {
	c.User = User{}
	var a account
	err := Patiently(ctx, func() error {
		if secret != "" {
			return c.registerBySecret(ctx, name, secret, &a)
		}
		return c.registerOpenly(ctx, name, &a)
	})
	if err != nil {
		return User{}, fmt.Errorf("register %s: %w", name, err)
	}
	return a.user()
}

// password is the same for all accounts of the load program: they live on
// loopback for the length of a run.
const password = "load-Password-1"

// registerOpenly. Spec: client-server-api/#dummy-auth
func (c *Client) registerOpenly(ctx context.Context, name string, out *account) error {
	auth := map[string]string{"type": "m.login.dummy"}
	in := map[string]any{"username": name, "password": password, "auth": auth}
	const path = "/_matrix/client/v3/register"
	err := c.Call(ctx, "POST", path, in, out)
	var e *Error
	if errors.As(err, &e) && e.Status == 401 && e.Session != "" {
		auth["session"] = e.Session
		err = c.Call(ctx, "POST", path, in, out)
	}
	return err
}

// registerBySecret uses the admin API that existing servers share.
func (c *Client) registerBySecret(ctx context.Context, name, secret string, out *account) error {
	const path = "/_synapse/admin/v1/register"
	var challenge struct {
		Nonce string `json:"nonce"`
	}
	if err := c.Call(ctx, "GET", path, nil, &challenge); err != nil {
		return err
	}
	return c.Call(ctx, "POST", path, map[string]any{
		"nonce": challenge.Nonce, "username": name, "password": password, "admin": false,
		"mac": registrationMAC(secret, challenge.Nonce, name, password),
	}, out)
}

// registrationMAC is the proof of the shared secret for an ordinary account.
func registrationMAC(secret, nonce, name, password string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(strings.Join([]string{nonce, name, password, "notadmin"}, "\x00")))
	return hex.EncodeToString(mac.Sum(nil))
}
