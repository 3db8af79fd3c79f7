package egress

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
)

// ByKind is a judge that leaves each kind of connection to a judge of its own; kinds without one go to the other.
func ByKind(other Judge, judges map[Kind]Judge) Judge { return byKind{other, judges} }

type byKind struct {
	other  Judge
	judges map[Kind]Judge
}

// Admit implements [Judge].
func (j byKind) Admit(ctx context.Context, i Intent) error {
	if judge := j.judges[i.Kind]; judge != nil {
		return judge.Admit(ctx, i)
	}
	return j.other.Admit(ctx, i)
}

// AllowEndpoints is a judge that admits connections to some "host:port" and to nothing else, private addresses too: whoever
// configures an endpoint names just that one.
func AllowEndpoints(endpoints []string) Judge {
	j := allowEndpoints{}
	for _, e := range endpoints {
		host, port, err := net.SplitHostPort(strings.ToLower(e))
		if err == nil {
			j[host] = append(j[host], port)
		}
	}
	return j
}

// allowEndpoints are ports by host.
type allowEndpoints map[string][]string

// Admit implements [Judge].
func (j allowEndpoints) Admit(_ context.Context, i Intent) error {
	ports := j[strings.ToLower(i.Host)]
	if len(ports) == 0 {
		return Refused("This server does not connect to " + i.Host + ": no registration file names it.")
	}
	if i.Addr.IsValid() && !slices.Contains(ports, strconv.Itoa(int(i.Addr.Port()))) {
		return Refused("This server does not connect to that port of " + i.Host + ": no registration file names it.")
	}
	if i.Addr.IsValid() && (i.Addr.Addr().IsLinkLocalUnicast() || i.Addr.Addr().IsMulticast() || i.Addr.Addr().IsUnspecified()) {
		return Refused("The address of " + i.Host + " is none where a service can be.")
	}
	return nil
}
