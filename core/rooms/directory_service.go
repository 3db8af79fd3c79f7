package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Publish puts a room into the public directory of this server, or takes it out.
func (s *Service) Publish(ctx context.Context, room *Room, public bool) error {
	c := &storage.Change{}
	c.Guard(storage.SetPublic(room.NID(), public))
	c.Live(storage.Live{Kind: storage.KindRoom, Room: room.NID()})
	return s.db.Commit(ctx, c)
}

// SetDirectoryVisibility publishes a room for those who may set its canonical alias, and for administrators.
// Spec: client-server-api/#put_matrixclientv3directorylistroomroomid
func (s *Service) SetDirectoryVisibility(ctx context.Context, c matrix.Caller, room *Room, public bool) error {
	if !c.Admin {
		ok, err := s.maySend(ctx, room, c.User, "m.room.canonical_alias")
		if err != nil || !ok {
			return errors.Join(err, forbidUnless(err != nil, "You may not change how this room is listed."))
		}
	}
	return s.Publish(ctx, room, public)
}

// ListOnNetwork lists a room in the directory of a third-party network, or takes it out.
// Spec: application-service-api/#published-room-directories
func (s *Service) ListOnNetwork(ctx context.Context, instance string, room *Room, listed bool) error {
	c := &storage.Change{}
	c.Guard(storage.SetNetworkRoom(instance, room.NID(), listed))
	return s.db.Commit(ctx, c)
}

// listed reads the rooms that a request is about: the published ones, those of a third-party network, or all of them.
func (s *Service) listed(ctx context.Context, q *DirectoryRequest) ([]storage.PublicRoom, error) {
	if q.Network != "" && !q.AllNetworks {
		return s.db.ListNetworkRooms(ctx, q.Network)
	}
	out, err := s.db.ListPublicRooms(ctx)
	if err != nil || !q.AllNetworks {
		return out, err
	}
	more, err := s.db.ListNetworkRooms(ctx, "")
	for _, m := range more {
		if !slices.ContainsFunc(out, func(p storage.PublicRoom) bool { return p.Room == m.Room }) {
			out = append(out, m)
		}
	}
	return out, err
}

// IsPublished reports whether a room is in the public directory.
func (s *Service) IsPublished(ctx context.Context, room *Room) (bool, error) {
	return s.db.IsPublic(ctx, room.NID())
}

// PublicRoom is a room as the directory shows it. Spec: client-server-api/#get_matrixclientv3publicrooms
type PublicRoom struct {
	RoomID         matrix.RoomID    `json:"room_id"`
	Name           string           `json:"name,omitempty"`
	Topic          string           `json:"topic,omitempty"`
	AvatarURL      string           `json:"avatar_url,omitempty"`
	CanonicalAlias matrix.RoomAlias `json:"canonical_alias,omitempty"`
	JoinedMembers  int64            `json:"num_joined_members"`
	WorldReadable  bool             `json:"world_readable"`
	GuestCanJoin   bool             `json:"guest_can_join"`
	JoinRule       string           `json:"join_rule,omitempty"`
	RoomType       string           `json:"room_type,omitempty"`
}

// DirectoryRequest asks for a page of the directory.
type DirectoryRequest struct {
	// Server names the server whose rooms are asked for; "" is the asker's, else this one. Asker is which of ours asks another.
	Server matrix.ServerName `json:"-"`
	Asker  matrix.ServerName `json:"-"`
	Limit  int               `json:"limit"`
	Since  string            `json:"since"`
	// Network is the instance of a third-party network whose rooms are asked for; AllNetworks asks for all, with our own.
	Network     string `json:"third_party_instance_id"`
	AllNetworks bool   `json:"include_all_networks"`
	Filter      struct {
		Term  string    `json:"generic_search_term"`
		Types []*string `json:"room_types"`
	} `json:"filter"`
}

// DirectoryPage is a page of the directory, most members first.
type DirectoryPage struct {
	Chunk     []PublicRoom `json:"chunk"`
	NextBatch string       `json:"next_batch,omitempty"`
	PrevBatch string       `json:"prev_batch,omitempty"`
	Total     int          `json:"total_room_count_estimate"`
}

// Directory reads a page of the public rooms of this server, or of another one.
func (s *Service) Directory(ctx context.Context, q DirectoryRequest) (*DirectoryPage, error) {
	if q.Server != "" && !s.isOurs(q.Server) {
		return s.directoryElsewhere(ctx, q)
	}
	listed, err := s.listed(ctx, &q)
	if err == nil {
		listed, err = s.ownListed(ctx, &q, listed)
	}
	if err != nil {
		return nil, err
	}
	var found []PublicRoom
	for _, l := range listed {
		p, err := s.PublicRoom(ctx, l.Room, l.Joined)
		if err != nil {
			return nil, err
		}
		if p.matches(&q) {
			found = append(found, *p)
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].JoinedMembers > found[j].JoinedMembers })
	first := 0
	if q.Since != "" {
		if first, err = strconv.Atoi(q.Since); err != nil || first < 0 {
			return nil, matrix.InvalidParam("since was not given out by this server.")
		}
	}
	first = min(first, len(found))
	last := len(found)
	if q.Limit > 0 {
		last = min(first+q.Limit, last)
	}
	page := &DirectoryPage{Chunk: append([]PublicRoom{}, found[first:last]...), Total: len(found)}
	if last < len(found) {
		page.NextBatch = strconv.Itoa(last)
	}
	if first > 0 {
		page.PrevBatch = strconv.Itoa(max(0, first-max(q.Limit, 1)))
	}
	return page, nil
}

func (p *PublicRoom) matches(q *DirectoryRequest) bool {
	if q.Filter.Types != nil {
		ok := false
		for _, t := range q.Filter.Types {
			ok = ok || t == nil && p.RoomType == "" || t != nil && *t == p.RoomType
		}
		if !ok {
			return false
		}
	}
	term := strings.ToLower(q.Filter.Term)
	for _, text := range []string{p.Name, p.Topic, string(p.CanonicalAlias)} {
		if strings.Contains(strings.ToLower(text), term) {
			return true
		}
	}
	return term == ""
}

// PublicRoom describes a room from its current state.
func (s *Service) PublicRoom(ctx context.Context, nid, joined int64) (*PublicRoom, error) {
	room, err := s.RoomByNID(ctx, nid)
	if err != nil {
		return nil, err
	}
	view, err := s.Current(ctx, room)
	if err != nil {
		return nil, err
	}
	p := &PublicRoom{RoomID: room.ID(), JoinedMembers: joined, JoinRule: "invite"}
	for _, f := range []struct {
		typ  string
		take func(c map[string]any)
	}{
		{"m.room.name", func(c map[string]any) { p.Name = textOf(c, "name") }},
		{"m.room.topic", func(c map[string]any) { p.Topic = textOf(c, "topic") }},
		{"m.room.avatar", func(c map[string]any) { p.AvatarURL = textOf(c, "url") }},
		{"m.room.canonical_alias", func(c map[string]any) { p.CanonicalAlias = matrix.RoomAlias(textOf(c, "alias")) }},
		{"m.room.history_visibility", func(c map[string]any) { p.WorldReadable = textOf(c, "history_visibility") == "world_readable" }},
		{"m.room.guest_access", func(c map[string]any) { p.GuestCanJoin = textOf(c, "guest_access") == "can_join" }},
		{"m.room.join_rules", func(c map[string]any) { p.JoinRule = textOf(c, "join_rule") }},
		{"m.room.create", func(c map[string]any) { p.RoomType = textOf(c, "type") }},
	} {
		e, err := view.Get(ctx, matrix.StateTuple{Type: f.typ})
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		var c map[string]any
		if matrix.Decode(e.Content, &c) == nil {
			f.take(c)
		}
	}
	return p, nil
}

func textOf(c map[string]any, key string) string {
	s, _ := c[key].(string)
	return s
}

// textIn is a text member of a content; "" when there is none.
func textIn(content json.RawMessage, key string) string {
	var c map[string]any
	if matrix.Decode(content, &c) != nil {
		return ""
	}
	return textOf(c, key)
}
