package media

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rempart/sfu"
)

// External is a LiveKit server or cluster that somebody else runs, asked by its own interface. Clients connect to it by
// themselves: it cannot be asked at each connection who may come, so that tokens are short and the watch ends connections.
type External struct {
	// URL is its address for this server, https://… or http://…
	URL  string
	Keys sfu.Keys
	// HTTP goes there.
	HTTP interface {
		Do(*http.Request) (*http.Response, error)
	}
	// EmptySeconds is how long a room waits for somebody; MaxParticipants bounds it, 0: no bound.
	EmptySeconds, MaxParticipants int
}

// EnsureRoom implements [sfu.Backend].
func (e *External) EnsureRoom(ctx context.Context, alias string) error {
	return e.call(ctx, "CreateRoom", sfu.Grant{RoomCreate: true}, map[string]any{"name": alias,
		"emptyTimeout": e.EmptySeconds, "maxParticipants": e.MaxParticipants}, nil)
}

// Participants implements [sfu.Backend].
func (e *External) Participants(ctx context.Context) ([]sfu.Live, error) {
	var rooms struct {
		Rooms []struct {
			Name  string `json:"name"`
			Count int    `json:"num_participants"`
		} `json:"rooms"`
	}
	if err := e.call(ctx, "ListRooms", sfu.Grant{RoomList: true}, struct{}{}, &rooms); err != nil {
		return nil, err
	}
	list := []sfu.Live{}
	for _, r := range rooms.Rooms {
		if r.Count == 0 {
			continue
		}
		var in struct {
			Participants []struct {
				Identity string            `json:"identity"`
				Joined   string            `json:"joined_at"`
				Tracks   []json.RawMessage `json:"tracks"`
			} `json:"participants"`
		}
		if err := e.call(ctx, "ListParticipants", sfu.Grant{RoomAdmin: true, Room: r.Name}, map[string]any{"room": r.Name}, &in); err != nil {
			return nil, err
		}
		for _, p := range in.Participants {
			joined, _ := strconv.ParseInt(p.Joined, 10, 64)
			list = append(list, sfu.Live{Alias: r.Name, Identity: p.Identity, Joined: joined, Publishing: len(p.Tracks)})
		}
	}
	return list, nil
}

// Kick implements [sfu.Backend].
func (e *External) Kick(ctx context.Context, alias, identity string) error {
	return e.call(ctx, "RemoveParticipant", sfu.Grant{RoomAdmin: true, Room: alias}, map[string]any{"room": alias, "identity": identity}, nil)
}

// Signal implements [sfu.Backend]: clients go there by themselves.
func (e *External) Signal() http.Handler { return nil }

// Close implements [sfu.Backend].
func (e *External) Close() error { return nil }

// call makes one call of the room service. An object that is not there any more is no error.
func (e *External) call(ctx context.Context, method string, g sfu.Grant, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(e.URL, "/")+"/twirp/livekit.RoomService/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+e.Keys.Sign("", g, time.Minute, time.Now()))
	a, err := e.HTTP.Do(q)
	if err != nil {
		return fmt.Errorf("media server: %w", err)
	}
	defer func() { _ = a.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case a.StatusCode == http.StatusNotFound:
		return nil
	case a.StatusCode != http.StatusOK:
		return fmt.Errorf("media server: %s answered %s", method, a.Status)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

var _ sfu.Backend = (*External)(nil)
