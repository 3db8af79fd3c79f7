package rooms

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"

	"rempart/internal/matrix"
)

// serverACL is the content of m.room.server_acl. Spec: client-server-api/#mroomserver_acl
type serverACL struct {
	Allow, Deny     []string
	AllowIPLiterals bool
}

// Admits reports whether a room's access list lets a server take part.
func (s *Service) Admits(ctx context.Context, r *Room, server matrix.ServerName) (bool, error) {
	v, err := s.Current(ctx, r)
	if err != nil {
		return false, err
	}
	e, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.server_acl"})
	if err != nil || e == nil {
		return err == nil, err
	}
	return readACL(e.Content).admits(server), nil
}

// readACL reads an access list; entries that are no text do not count. Spec: what is missing admits nobody.
func readACL(content json.RawMessage) serverACL {
	var raw struct {
		Allow           json.RawMessage `json:"allow"`
		Deny            json.RawMessage `json:"deny"`
		AllowIPLiterals json.RawMessage `json:"allow_ip_literals"`
	}
	if matrix.Decode(content, &raw) != nil {
		return serverACL{}
	}
	return serverACL{textsOf(raw.Allow), textsOf(raw.Deny), string(raw.AllowIPLiterals) != "false"}
}

func textsOf(raw json.RawMessage) []string {
	var all []any
	if matrix.Decode(raw, &all) != nil {
		return nil
	}
	var out []string
	for _, v := range all {
		if s, ok := v.(string); ok {
			out = append(out, strings.ToLower(s))
		}
	}
	return out
}

func (a serverACL) admits(server matrix.ServerName) bool {
	host := strings.ToLower(server.Host())
	if !a.AllowIPLiterals {
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			return false
		}
	}
	for _, p := range a.Deny {
		if globMatch(p, host) {
			return false
		}
	}
	for _, p := range a.Allow {
		if globMatch(p, host) {
			return true
		}
	}
	return false
}

// globMatch matches a pattern in which * is any text and ? any one character, in time linear in both for each star.
func globMatch(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
