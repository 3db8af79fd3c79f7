package clientapi

import (
	"context"
	"maps"

	"rempart/core/delayed"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type enabled struct {
	Enabled bool `json:"enabled"`
}

type roomVersions struct {
	Default   string            `json:"default"`
	Available map[string]string `json:"available"`
}

// capabilitiesRoutes says what clients may do here. Spec: client-server-api/#capabilities-negotiation
func capabilitiesRoutes(r *httpx.Router, d Deps) {
	versions := roomVersions{Default: d.DefaultRoomVersion, Available: map[string]string{}}
	if versions.Default == "" {
		versions.Default = matrix.DefaultVersion
	}
	for _, v := range matrix.Versions() {
		versions.Available[v.ID] = "unstable"
		if v.Stable {
			versions.Available[v.ID] = "stable"
		}
	}
	capable := map[string]any{
		"m.room_versions":   versions,
		"m.change_password": enabled{true},
		"m.set_displayname": enabled{true},
		"m.set_avatar_url":  enabled{true},
		"m.profile_fields":  enabled{true},
		"m.3pid_changes":    enabled{d.Mail},
		"m.get_login_token": enabled{true},
		"org.matrix.msc4140.delayed_events": map[string]int64{
			"max_delay_ms": delayed.MaxDelay.Milliseconds(), "max_scheduled": delayed.MaxScheduled,
		},
	}
	moderating := maps.Clone(capable)
	// Only administrators are told. Spec: client-server-api/#maccount_moderation-capability
	moderating["m.account_moderation"] = map[string]bool{"lock": true, "suspend": true}
	httpx.Handle(r, "GET", "/_matrix/client/v3/capabilities", ofUser("getCapabilities"),
		func(_ context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			if c.Admin {
				return map[string]any{"capabilities": moderating}, nil
			}
			return map[string]any{"capabilities": capable}, nil
		})
}
