// Package csapi speaks the client-server API as far as the scenarios need it.
// It decodes answers with encoding/json where nothing is measured and by
// scanning bytes on the paths that are.
package csapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"rempart/tests/load/wire"
)

// User is an account made for the run, with the token of its one device.
type User struct {
	ID, Device, Token string
}

// Client is a user on a connection. Like the connection, it is for one goroutine
// at a time; several users may take turns on one connection.
type Client struct {
	Conn *wire.Conn
	User User
	txn  int
	path []byte
	body []byte
}

// Error is an answer that is not 200.
type Error struct {
	Status  int
	Code    string        // errcode
	Message string        // error
	Retry   time.Duration // retry_after_ms of a 429
	Session string        // of a user-interactive authentication
}

// Error says what the server answered.
func (e *Error) Error() string {
	return fmt.Sprintf("HTTP %d %s %.200s", e.Status, e.Code, e.Message)
}

// As returns a client for another user on the same connection.
func (c *Client) As(u User) *Client { return &Client{Conn: c.Conn, User: u} }

// NewClient returns a client with a connection of its own.
func NewClient(addr wire.Address, u User) *Client {
	return &Client{Conn: wire.NewConn(addr), User: u}
}

// raw makes one exchange and turns any status but 200 into *Error.
func (c *Client) raw(ctx context.Context, r wire.Request) ([]byte, error) {
	r.Token = c.User.Token
	res, err := c.Conn.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	if res.Status != 200 {
		return nil, answerError(res)
	}
	return res.Body, nil
}

func answerError(res wire.Response) *Error {
	var e struct {
		Code    string `json:"errcode"`
		Message string `json:"error"`
		Retry   int64  `json:"retry_after_ms"`
		Session string `json:"session"`
	}
	if json.Unmarshal(res.Body, &e) != nil {
		e.Message = fmt.Sprintf("%.100q", res.Body)
	}
	return &Error{res.Status, e.Code, e.Message, time.Duration(e.Retry) * time.Millisecond, e.Session}
}

// Call makes one exchange with JSON both ways; in and out may be nil.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	answer, err := c.raw(ctx, wire.Request{Method: method, Path: path, Body: body})
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: answer: %w", method, path, err)
	}
	return nil
}

// Raw makes one exchange with a body that is ready, and returns the answer's
// bytes, valid until the next exchange.
func (c *Client) Raw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return c.raw(ctx, wire.Request{Method: method, Path: path, Body: body})
}

// Patiently repeats act while the server answers 429, or 202 (not done yet), for
// two minutes at most: for preparing state, not for measuring.
func Patiently(ctx context.Context, act func() error) error {
	for deadline := time.Now().Add(2 * time.Minute); ; {
		err := act()
		var e *Error
		if !errors.As(err, &e) || e.Status != 429 && e.Status != 202 || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(max(e.Retry, 50*time.Millisecond), 10*time.Second)):
		}
	}
}

// Versions asks for the supported versions: the cheapest proof of life.
func (c *Client) Versions(ctx context.Context) error {
	return c.Call(ctx, "GET", "/_matrix/client/versions", nil, nil)
}

// CreateRoom makes a public room and returns its id. version may be empty.
func (c *Client) CreateRoom(ctx context.Context, name, version string) (room string, err error) {
	in := map[string]any{"preset": "public_chat", "name": name}
	if version != "" {
		in["room_version"] = version
	}
	var out struct {
		RoomID string `json:"room_id"`
	}
	err = Patiently(ctx, func() error { return c.Call(ctx, "POST", "/_matrix/client/v3/createRoom", in, &out) })
	if err == nil && out.RoomID == "" {
		err = errors.New("no room_id in the answer")
	}
	if err != nil {
		return "", fmt.Errorf("create room: %w", err)
	}
	return out.RoomID, nil
}

// Join joins a public room.
func (c *Client) Join(ctx context.Context, room string) error {
	path := "/_matrix/client/v3/join/" + url.PathEscape(room)
	err := Patiently(ctx, func() error { return c.Call(ctx, "POST", path, struct{}{}, nil) })
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	return nil
}

// RoomPath is the escaped beginning of all paths of a room.
func RoomPath(room string) string {
	return "/_matrix/client/v3/rooms/" + url.PathEscape(room)
}

// Send sends a text message that carries the present time and seq, and returns
// the event's id. The transaction id is new each time.
func (c *Client) Send(ctx context.Context, roomPath string, seq int) (string, error) {
	c.txn++
	c.path = append(append(c.path[:0], roomPath...), "/send/m.room.message/load"...)
	c.path = strconv.AppendInt(c.path, time.Now().UnixNano(), 36)
	c.path = strconv.AppendInt(append(c.path, '.'), int64(c.txn), 10)
	c.body = appendMessage(c.body[:0], time.Now(), seq)
	answer, err := c.Raw(ctx, "PUT", string(c.path), c.body)
	if err != nil {
		return "", err
	}
	id, ok := stringField(answer, "event_id")
	if !ok {
		return "", fmt.Errorf("send: no event_id in %.100q", answer)
	}
	return id, nil
}

// Typing says that the user types, or no longer does.
func (c *Client) Typing(ctx context.Context, roomPath string, on bool) error {
	body := []byte(`{"typing":false}`)
	if on {
		body = []byte(`{"typing":true,"timeout":30000}`)
	}
	_, err := c.Raw(ctx, "PUT", roomPath+"/typing/"+url.PathEscape(c.User.ID), body)
	return err
}

// Read sets the user's read receipt.
func (c *Client) Read(ctx context.Context, roomPath, eventID string) error {
	_, err := c.Raw(ctx, "POST", roomPath+"/receipt/m.read/"+url.PathEscape(eventID), []byte("{}"))
	return err
}

// Messages is one page of back-pagination: the events' bytes and the next token,
// empty at the start of the room.
func (c *Client) Messages(ctx context.Context, roomPath, from string, limit int) (chunk []byte, end string, err error) {
	path := roomPath + "/messages?dir=b&limit=" + strconv.Itoa(limit)
	if from != "" {
		path += "&from=" + url.QueryEscape(from)
	}
	answer, err := c.Raw(ctx, "GET", path, nil)
	if err != nil {
		return nil, "", err
	}
	end, _ = stringField(answer, "end")
	return answer, end, nil
}
