package push

import (
	"context"
	"strings"
	"unicode"

	"rempart/internal/matrix"
	"rempart/storage"
)

// crowd is what push needs to know of the local users in a room: who they are, by which names they are called, and who
// of them has rules of his own. It is written under the service's lock and read under it too.
type crowd struct {
	members map[matrix.UserID]int64
	// names finds who may be meant by the first word of a name, in lower case.
	names  map[string][]called
	custom map[int64]matrix.UserID
}

// called says that a user is called by a name, in lower case.
type called struct {
	user int64
	name string
}

func (s *Service) loadCrowd(ctx context.Context, room int64) (*crowd, error) {
	members, err := s.db.ListNamedMembers(ctx, room)
	if err != nil {
		return nil, err
	}
	c := &crowd{members: make(map[matrix.UserID]int64, len(members)), names: map[string][]called{}, custom: map[int64]matrix.UserID{}}
	for _, m := range members {
		c.add(m)
	}
	return c, nil
}

func (c *crowd) add(m storage.NamedMember) {
	c.members[m.ID] = m.User
	local := strings.ToLower(m.ID.Localpart())
	c.call(m.User, local)
	if name := strings.ToLower(strings.TrimSpace(m.DisplayName)); name != local {
		c.call(m.User, name)
	}
}

func (c *crowd) call(user int64, name string) {
	start, end := nextWord(name, 0)
	if start < 0 {
		return
	}
	first := name[start:end]
	c.names[first] = append(c.names[first], called{user, name[start:]})
}

func (c *crowd) remove(id matrix.UserID) {
	user, ok := c.members[id]
	if !ok {
		return
	}
	delete(c.members, id)
	delete(c.custom, user)
	for word, list := range c.names {
		kept := list[:0]
		for _, n := range list {
			if n.user != user {
				kept = append(kept, n)
			}
		}
		if len(kept) == 0 {
			delete(c.names, word)
		} else {
			c.names[word] = kept
		}
	}
}

// rename calls a member by another name.
func (c *crowd) rename(m storage.NamedMember) {
	if _, in := c.members[m.ID]; !in {
		return
	}
	custom := c.custom[m.User]
	c.remove(m.ID)
	if c.add(m); custom != "" {
		c.custom[m.User] = custom
	}
}

// named calls fn for every user whose name stands in a text.
func (c *crowd) named(text string, fn func(user int64)) {
	text = strings.ToLower(text)
	for start, end := nextWord(text, 0); start >= 0; start, end = nextWord(text, end) {
		for _, n := range c.names[text[start:end]] {
			if strings.HasPrefix(text[start:], n.name) && boundaryAfter(text, start+len(n.name)) && boundaryBefore(text, start) {
				fn(n.user)
			}
		}
	}
}

// nextWord finds the next run of letters, digits and "_"; start is -1 when there is none.
func nextWord(text string, from int) (start, end int) {
	start = -1
	for i, r := range text[from:] {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			if start < 0 {
				start = from + i
			}
		} else if start >= 0 {
			return start, from + i
		}
	}
	return start, len(text)
}
