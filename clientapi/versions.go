package clientapi

import (
	"context"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type versionsAnswer struct {
	Versions         []string        `json:"versions"`
	UnstableFeatures map[string]bool `json:"unstable_features"`
}

// versionsRoutes adds the list of versions of the specification.
// Why the whole chain: clients refuse a server without at least one of v1.1 to v1.13, and use what a version brought only
// when it is listed by name.
func versionsRoutes(r *httpx.Router, calls bool) {
	answer := versionsAnswer{
		Versions: []string{
			"r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9",
			"v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
		},
		UnstableFeatures: map[string]bool{
			"org.matrix.e2e_cross_signing":     true, // r0 clients ask for it by this name
			"org.matrix.msc2285.stable":        true, // private read receipts
			"fi.mau.msc2659":                   true, // pings of application services, as bridges ask for them
			"fi.mau.msc2659.stable":            true,
			"org.matrix.msc3771":               true, // receipts in threads
			"org.matrix.msc3773":               true, // counts in threads
			"org.matrix.msc3881":               true, // pushers of other devices
			"org.matrix.msc3890":               true, // settings of one device, removed with it
			"org.matrix.msc4222":               true, // state_after in sync
			"uk.tcpip.msc4133":                 true, // extended profiles
			"uk.tcpip.msc4133.stable":          true,
			"org.matrix.msc3827.stable":        true,  // room types in the directory
			"org.matrix.simplified_msc3575":    true,  // sliding sync as clients spoke it before MSC4186
			"org.matrix.msc3440.stable":        false, // threads: not before relations are served
			"org.matrix.msc4108":               false, // log-in by QR code
			"org.matrix.msc4140":               true,  // delayed events
			"org.matrix.msc4354":               true,  // sticky events
			"org.matrix.msc4306":               true,  // thread subscriptions
			"org.matrix.msc4308":               true,
			"org.matrix.msc3391":               true, // account data can be deleted
			"org.matrix.msc3874":               true, // filters of relations
			"org.matrix.msc3814.v1":            true, // dehydrated devices
			"org.matrix.label_based_filtering": false,
			"org.matrix.msc4143":               calls, // a media server for calls
		},
	}
	httpx.Handle(r, "GET", "/_matrix/client/versions", httpx.Route{Access: httpx.Public, Spec: "getVersions"},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (versionsAnswer, error) {
			return answer, nil
		})
}
