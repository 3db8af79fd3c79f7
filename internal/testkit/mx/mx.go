// Package mx is a plain Matrix client for tests: it says exactly what it is told to say and hides nothing of the answer.
package mx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// Patience bounds how long a test waits for what comes by itself, on however busy a machine: it is there to end tests that hang, and
// says nothing of how long anything may take.
const Patience = 2 * time.Minute

// Client is one device of one user. Its methods may be called concurrently.
type Client struct {
	URL, Token, UserID, DeviceID string
	// Host is the server that is asked for, where it is not the one of the URL.
	Host string
}

// Error is a refusal with its standard error.
type Error struct {
	Status  int    `json:"-"` // some errors hold a "status" of their own
	Code    string `json:"errcode"`
	Message string `json:"error"`
}

// Error shows the refusal.
func (e *Error) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// transport keeps enough connections for tests with many clients.
func newHTTP() *http.Client {
	return &http.Client{Timeout: 90 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
}

var shared = newHTTP()

// Do sends a request with a JSON body (nil: none) and decodes the answer into out (nil: dropped). A status of 400 or
// more is an *Error.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, in)
	if err != nil {
		return err
	}
	if c.Host != "" {
		req.Host = c.Host
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	res, err := shared.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 400 {
		e := &Error{Status: res.StatusCode}
		_ = json.Unmarshal(raw, e) // an answer that is no JSON leaves the code empty
		return e
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// Register makes an account by open registration.
func Register(ctx context.Context, url, name string) (*Client, error) {
	return RegisterAt(ctx, url, "", name)
}

// RegisterAt is Register at one of several servers of a process.
func RegisterAt(ctx context.Context, url, host, name string) (*Client, error) {
	c := &Client{URL: url, Host: host}
	var res struct {
		UserID      string `json:"user_id"`
		AccessToken string `json:"access_token"`
		DeviceID    string `json:"device_id"`
	}
	err := c.Do(ctx, "POST", "/_matrix/client/v3/register", map[string]any{
		"username": name, "password": "pass word " + name, "auth": map[string]string{"type": "m.login.dummy"},
	}, &res)
	c.Token, c.UserID, c.DeviceID = res.AccessToken, res.UserID, res.DeviceID
	return c, err
}

// CreateRoom makes a room and answers its id.
func (c *Client) CreateRoom(ctx context.Context, request map[string]any) (string, error) {
	var res struct {
		RoomID string `json:"room_id"`
	}
	err := c.Do(ctx, "POST", "/_matrix/client/v3/createRoom", request, &res)
	return res.RoomID, err
}

// Send sends a text message under a transaction id and answers the event's id.
func (c *Client) Send(ctx context.Context, room, txn, text string) (string, error) {
	var res struct {
		EventID string `json:"event_id"`
	}
	err := c.Do(ctx, "PUT", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/send/m.room.message/"+url.PathEscape(txn),
		map[string]string{"msgtype": "m.text", "body": text}, &res)
	return res.EventID, err
}

// Join joins a room.
func (c *Client) Join(ctx context.Context, room string) error {
	return c.Do(ctx, "POST", "/_matrix/client/v3/join/"+url.PathEscape(room), map[string]any{}, nil)
}

// Event is an event as clients get it.
type Event struct {
	ID       string          `json:"event_id"`
	Type     string          `json:"type"`
	Sender   string          `json:"sender"`
	StateKey *string         `json:"state_key"`
	Content  json.RawMessage `json:"content"`
	Unsigned struct {
		TxnID string `json:"transaction_id"`
	} `json:"unsigned"`
}

// Body is the text of a message.
func (e *Event) Body() string {
	var c struct {
		Body string `json:"body"`
	}
	_ = json.Unmarshal(e.Content, &c) // events without a body have none
	return c.Body
}

// Sync is the answer of /sync, as far as tests look at it.
type Sync struct {
	NextBatch string `json:"next_batch"`
	Rooms     struct {
		Join map[string]struct {
			Timeline struct {
				Events    []Event `json:"events"`
				Limited   bool    `json:"limited"`
				PrevBatch string  `json:"prev_batch"`
			} `json:"timeline"`
			State struct {
				Events []Event `json:"events"`
			} `json:"state"`
		} `json:"join"`
	} `json:"rooms"`
	ToDevice struct {
		Events []struct {
			Type    string          `json:"type"`
			Sender  string          `json:"sender"`
			Content json.RawMessage `json:"content"`
		} `json:"events"`
	} `json:"to_device"`
	OneTimeKeys map[string]int `json:"device_one_time_keys_count"`
}

// Sync asks for what came since a token.
func (c *Client) Sync(ctx context.Context, since string, timeout time.Duration) (*Sync, error) {
	q := url.Values{"timeout": {fmt.Sprint(timeout.Milliseconds())}}
	if since != "" {
		q.Set("since", since)
	}
	var res Sync
	return &res, c.Do(ctx, "GET", "/_matrix/client/v3/sync?"+q.Encode(), nil, &res)
}

// History reads a whole room backwards, page by page, newest first.
func (c *Client) History(ctx context.Context, room string) ([]Event, error) {
	var all []Event
	from := ""
	for {
		var page struct {
			Chunk []Event `json:"chunk"`
			End   string  `json:"end"`
		}
		q := url.Values{"dir": {"b"}, "limit": {"500"}}
		if from != "" {
			q.Set("from", from)
		}
		if err := c.Do(ctx, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/messages?"+q.Encode(), nil, &page); err != nil {
			return all, err
		}
		all = append(all, page.Chunk...)
		if page.End == "" {
			return all, nil
		}
		from = page.End
	}
}

// Must ends the test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
