package appservice

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"sync"

	"rempart/core"
	"rempart/internal/matrix"
)

// ThirdParty looks up other networks at the services that bridge them. It may be used concurrently.
// Spec: client-server-api/#third-party-networks
type ThirdParty struct {
	Services *Registry
	Gateway  core.Appservices
	Log      *slog.Logger
}

// protocol is what a service says of a network. Fields are the service's own.
type protocol struct {
	UserFields     json.RawMessage              `json:"user_fields"`
	LocationFields json.RawMessage              `json:"location_fields"`
	Icon           json.RawMessage              `json:"icon"`
	FieldTypes     json.RawMessage              `json:"field_types"`
	Instances      []map[string]json.RawMessage `json:"instances"`
}

// Protocols are all networks by name. Spec: client-server-api/#get_matrixclientv3thirdpartyprotocols
func (t *ThirdParty) Protocols(ctx context.Context) map[string]any {
	names := []string{}
	for _, s := range t.Services.All() {
		names = append(names, s.Protocols...)
	}
	slices.Sort(names)
	out := map[string]any{}
	for _, name := range slices.Compact(names) {
		if p := t.protocol(ctx, name); p != nil {
			out[name] = p
		}
	}
	return out
}

// Protocol is one network. Spec: client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol
func (t *ThirdParty) Protocol(ctx context.Context, name string) (any, error) {
	if p := t.protocol(ctx, name); p != nil {
		return p, nil
	}
	return nil, matrix.NotFound("No service bridges a network of that name.")
}

// protocol joins what the services say of a network; nil when none knows it. Each instance gets an id of ours.
func (t *ThirdParty) protocol(ctx context.Context, name string) *protocol {
	var out *protocol
	for _, answer := range t.ask(ctx, t.bridging(name), "protocol/"+url.PathEscape(name), nil) {
		var p protocol
		if matrix.Decode(answer.raw, &p) != nil {
			continue
		}
		for _, i := range p.Instances {
			var network string
			_ = matrix.Decode(i["network_id"], &network) // one without a network has an empty name
			i["instance_id"], _ = json.Marshal(Instance(answer.of.ID, network))
		}
		if out == nil {
			out = &p
		} else {
			out.Instances = append(out.Instances, p.Instances...)
		}
	}
	if out == nil {
		return nil
	}
	if out.Instances == nil {
		out.Instances = []map[string]json.RawMessage{}
	}
	for _, f := range []*json.RawMessage{&out.UserFields, &out.LocationFields} {
		if *f == nil {
			*f = json.RawMessage("[]")
		}
	}
	if out.FieldTypes == nil {
		out.FieldTypes = json.RawMessage("{}")
	}
	if out.Icon == nil {
		out.Icon = json.RawMessage(`""`)
	}
	return out
}

// Instance names a network of a service, as clients ask for its rooms.
func Instance(service, network string) string { return service + "|" + network }

// LookUp finds users or locations ("user", "location") of a network, by fields. An unknown network is M_NOT_FOUND.
// Spec: client-server-api/#get_matrixclientv3thirdpartylocationprotocol
func (t *ThirdParty) LookUp(ctx context.Context, what, network string, fields url.Values) ([]json.RawMessage, error) {
	of := t.bridging(network)
	if len(of) == 0 {
		return nil, matrix.NotFound("No service bridges a network of that name.")
	}
	fields.Del("access_token")
	return t.joined(ctx, of, what+"/"+url.PathEscape(network), fields), nil
}

// Reverse finds the foreign sides of a Matrix user or alias: what is "user" or "location", key "userid" or "alias".
// Spec: client-server-api/#get_matrixclientv3thirdpartyuser
func (t *ThirdParty) Reverse(ctx context.Context, what, key, value string) []json.RawMessage {
	return t.joined(ctx, t.bridging(""), what, url.Values{key: {value}})
}

// bridging are the services with traffic that bridge a network ("" any).
func (t *ThirdParty) bridging(network string) []*Service {
	return t.Services.those(func(s *Service) bool {
		return slices.Contains(s.Protocols, network) || network == "" && len(s.Protocols) > 0
	})
}

func (t *ThirdParty) joined(ctx context.Context, of []*Service, path string, query url.Values) []json.RawMessage {
	out := []json.RawMessage{}
	for _, answer := range t.ask(ctx, of, path, query) {
		var list []json.RawMessage
		if matrix.Decode(answer.raw, &list) == nil {
			out = append(out, list...)
		}
	}
	return out
}

// answer is what one service said.
type answer struct {
	of  *Service
	raw json.RawMessage
}

// ask asks services at the same time; those that fail or know nothing say nothing.
func (t *ThirdParty) ask(ctx context.Context, of []*Service, path string, query url.Values) []answer {
	all := make([]answer, len(of))
	var wg sync.WaitGroup
	for i, s := range of {
		wg.Go(func() {
			raw, err := t.Gateway.ThirdParty(ctx, s.ID, path, query)
			if err != nil {
				t.Log.Info("an application service does not answer a look-up", "service", s.ID, "error", err)
				return
			}
			all[i] = answer{s, raw}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(all, func(a answer) bool { return len(a.raw) == 0 })
}
