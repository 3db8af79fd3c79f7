package rooms

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
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

// listed reads which rooms a request is about: the published ones, those of a third-party network, or all of them.
func (s *Service) listed(ctx context.Context, q *DirectoryRequest) ([]storage.DirectoryRoom, error) {
	if q.Network != "" && !q.AllNetworks {
		return s.db.ListNetworkRooms(ctx, q.Network)
	}
	out, err := s.db.ListPublicRooms(ctx)
	if err != nil || !q.AllNetworks {
		return out, err
	}
	more, err := s.db.ListNetworkRooms(ctx, "")
	out = append(out, more...)
	slices.SortFunc(out, func(a, b storage.DirectoryRoom) int { return cmp.Compare(a.NID, b.NID) })
	return slices.CompactFunc(out, func(a, b storage.DirectoryRoom) bool { return a.NID == b.NID }), err
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
	first, err := strconv.Atoi(cmp.Or(q.Since, "0"))
	if err != nil || first < 0 {
		return nil, matrix.InvalidParam("since was not given out by this server.")
	}
	if err := s.mayList(ctx, &q); err != nil {
		return nil, err
	}
	found, err := s.findListed(ctx, &q)
	if err != nil {
		return nil, err
	}
	limit := directoryPage
	if q.Limit > 0 {
		limit = min(q.Limit, directoryPage)
	}
	first = min(first, len(found))
	page := &DirectoryPage{Total: len(found)}
	if page.Chunk, err = s.showListed(ctx, found[first:min(first+limit, len(found))]); err != nil {
		return nil, err
	}
	if last := first + len(page.Chunk); last < len(found) {
		page.NextBatch = strconv.Itoa(last)
	}
	if first > 0 {
		page.PrevBatch = strconv.Itoa(max(0, first-limit))
	}
	return page, nil
}

// foundRoom is a room that a request finds.
type foundRoom struct {
	storage.DirectoryRoom
	joined int64
}

// findListed finds the rooms that a request is about, most members first, then by number.
func (s *Service) findListed(ctx context.Context, q *DirectoryRequest) ([]foundRoom, error) {
	all, err := s.listed(ctx, q)
	if err != nil {
		return nil, err
	}
	if q.Network == "" {
		s.listings.forget(all)
	}
	var out []foundRoom
	for rooms := range slices.Chunk(all, listingsAtOnce) {
		looks, err := s.listings.of(ctx, rooms)
		if err != nil {
			return nil, err
		}
		for i, l := range looks {
			if !l.matches(q) {
				continue
			}
			if own, err := s.ownListing(ctx, q, rooms[i].NID, l); err != nil {
				return nil, err
			} else if own {
				out = append(out, foundRoom{rooms[i], l.JoinedMembers})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b foundRoom) int { return cmp.Compare(b.joined, a.joined) })
	return out, nil
}

// showListed describes the rooms of a page, as many as a page's bytes hold.
func (s *Service) showListed(ctx context.Context, rooms []foundRoom) ([]PublicRoom, error) {
	out := make([]PublicRoom, 0, len(rooms))
	size := 0
	for _, r := range rooms {
		look, err := s.listings.of(ctx, []storage.DirectoryRoom{r.DirectoryRoom})
		if err != nil {
			return nil, err
		}
		if size += look[0].bytes(); size > directoryBytes && len(out) > 0 {
			break
		}
		out = append(out, look[0].PublicRoom)
	}
	return out, nil
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

// defaultJoinRule is that of a room that says nothing of it. Spec: client-server-api/#mroomjoin_rules
const defaultJoinRule = "invite"

// listedState are the types of the state of which the directory shows something.
func listedState() []string {
	return []string{"m.room.create", "m.room.name", "m.room.topic", "m.room.avatar", "m.room.canonical_alias", "m.room.history_visibility",
		"m.room.guest_access", "m.room.join_rules"}
}

// show takes from a piece of state what the directory shows of it.
func (p *PublicRoom) show(typ string, content json.RawMessage) {
	switch typ {
	case "m.room.create":
		p.RoomType = textIn(content, "type")
	case "m.room.name":
		p.Name = textIn(content, "name")
	case "m.room.topic":
		p.Topic = textIn(content, "topic")
	case "m.room.avatar":
		p.AvatarURL = textIn(content, "url")
	case "m.room.canonical_alias":
		p.CanonicalAlias = matrix.RoomAlias(textIn(content, "alias"))
	case "m.room.history_visibility":
		p.WorldReadable = textIn(content, "history_visibility") == "world_readable"
	case "m.room.guest_access":
		p.GuestCanJoin = textIn(content, "guest_access") == "can_join"
	case "m.room.join_rules":
		p.JoinRule = textIn(content, "join_rule")
	}
}

// publicRoom describes a room from its current state.
func (s *Service) publicRoom(ctx context.Context, view *View) (*PublicRoom, error) {
	p := &PublicRoom{RoomID: view.Room().ID(), JoinedMembers: view.Joined(), JoinRule: defaultJoinRule}
	for _, typ := range listedState() {
		e, err := view.Get(ctx, matrix.StateTuple{Type: typ})
		if err != nil {
			return nil, err
		}
		if e != nil {
			p.show(typ, e.Content)
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
