package clientapi

import (
	"context"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type directorySearch struct {
	Term  string `json:"search_term"`
	Limit int    `json:"limit"`
}

type directoryResult struct {
	UserID      matrix.UserID `json:"user_id"`
	DisplayName string        `json:"display_name,omitempty"`
	AvatarURL   string        `json:"avatar_url,omitempty"`
}

type directoryAnswer struct {
	Results []directoryResult `json:"results"`
	Limited bool              `json:"limited"`
}

// miscRoutes adds the user directory, and short answers that clients ask for at their start.
func miscRoutes(r *httpx.Router, s *users.Service) {
	httpx.Handle(r, "POST", "/_matrix/client/v3/user_directory/search", limited(ofUser("searchUserDirectory"), "search"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in directorySearch) (directoryAnswer, error) {
			found, more, err := s.Search(ctx, c, in.Term, in.Limit)
			out := directoryAnswer{Results: make([]directoryResult, len(found)), Limited: more}
			for i, u := range found {
				out.Results[i] = directoryResult{u.ID, u.DisplayName, u.AvatarURL}
			}
			return out, err
		})
}

// relayRoutes tells clients by which relays they may send media to one another; {} means by none.
// Spec: client-server-api/#get_matrixclientv3voipturnserver
func relayRoutes(r *httpx.Router, relay func(matrix.UserID) map[string]any) {
	httpx.Handle(r, "GET", "/_matrix/client/v3/voip/turnServer", ofUser("getTurnServer"),
		func(_ context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			if relay == nil {
				return map[string]any{}, nil
			}
			return relay(c.User), nil
		})
}
