package sovereign

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// elsewhere are servers by name that the policy admits, or does not, and none of which may be reached: how an attacker who answers
// for a name leads elsewhere. The second is the rule that the record must give.
func (l *lab) elsewhere() map[string]string {
	abroad, port := netip.MustParseAddrPort(l.abroad.addr).Addr(), l.abroad.port()
	reach := func(name string, addrs ...string) {
		l.host("matrix."+name, addrs...)
		l.service(name, "matrix."+name, port)
	}
	reach("abroad.lab", "127.12.0.1")
	reach("mapped.lab", "::ffff:127.12.0.1")
	reach("stranger.lab", "127.12.0.1")
	reach("banned.lab", "127.10.0.9")
	reach("mixed.lab", "127.12.0.1", "::ffff:127.12.0.1", "127.14.0.1", "127.11.0.1")
	l.service("cloud.lab", "matrix.cloud.lab", l.cloud.port())
	l.host("matrix.cloud.lab", "127.11.0.1")
	l.service("nowhere.lab", "matrix.nowhere.lab", l.nowhere.port())
	l.host("matrix.nowhere.lab", "127.14.0.1")
	l.service("cname.lab", "matrix.cname.lab", port)
	l.also("matrix.cname.lab", "matrix.abroad.lab")
	// The address is French when somebody looks, and abroad for whoever looks again.
	l.service("rebinds.lab", "matrix.rebinds.lab", port)
	l.changing("matrix.rebinds.lab", func(asked int) []netip.Addr {
		if asked <= 2 {
			return []netip.Addr{netip.MustParseAddr("127.10.0.77")}
		}
		return []netip.Addr{abroad}
	})
	return map[string]string{
		"abroad.lab": "territory.outside", "mapped.lab": "territory.outside", "mixed.lab": "territory.outside", "cname.lab": "territory.outside",
		"cloud.lab": "operator.extraterritorial", "nowhere.lab": "territory.unknown", "stranger.lab": "partner.unknown", "banned.lab": "deny.server",
		l.abroad.addr: "territory.outside", "[::ffff:127.12.0.1]:" + fmt.Sprint(port): "territory.outside",
	}
}

// admitted are the names of elsewhere that the policy admits by name.
func (l *lab) admitted() []string {
	return []string{"abroad.lab", "mapped.lab", "mixed.lab", "cname.lab", "cloud.lab", "nowhere.lab", "rebinds.lab", "banned.lab",
		l.abroad.addr, fmt.Sprintf("[::ffff:127.12.0.1]:%d", l.abroad.port()), "delegates.lab", "redirects.lab", "prefecture.lab"}
}

// way is something that a person can do and by which a server named by him would be spoken to.
type way struct {
	name string
	do   func(ctx context.Context, c *mx.Client, server string) error
	// quiet: the person is not told, since others are asked in the same breath, or later.
	quiet bool
	// here: nobody elsewhere is asked, and the answer is the one about what is not known.
	here bool
}

func ways(room string) []way {
	ask := func(method, path string, body func(server string) any) func(context.Context, *mx.Client, string) error {
		return func(ctx context.Context, c *mx.Client, server string) error {
			var in any
			if body != nil {
				in = body(server)
			}
			return c.Do(ctx, method, strings.ReplaceAll(path, "SERVER", url.PathEscape(server)), in, nil)
		}
	}
	return []way{
		{name: "join by via", do: ask("POST", "/_matrix/client/v3/join/%21none:prefecture.invalid?via=SERVER", func(string) any { return object{} })},
		{name: "join by id", do: ask("POST", "/_matrix/client/v3/join/%21none:SERVER", func(string) any { return object{} })},
		{name: "join by alias", do: ask("POST", "/_matrix/client/v3/join/%23hall:SERVER", func(string) any { return object{} })},
		{name: "knock", do: ask("POST", "/_matrix/client/v3/knock/%21none:prefecture.invalid?via=SERVER", func(string) any { return object{} })},
		{name: "hierarchy", here: true, do: ask("GET", "/_matrix/client/v1/rooms/%21none:SERVER/hierarchy", nil)},
		{name: "summary", here: true, do: ask("GET", "/_matrix/client/v1/room_summary/%21none:prefecture.invalid?via=SERVER", nil)},
		{name: "profile", do: ask("GET", "/_matrix/client/v3/profile/@bob:SERVER", nil)},
		{name: "alias", do: ask("GET", "/_matrix/client/v3/directory/room/%23hall:SERVER", nil)},
		{name: "directory", do: ask("GET", "/_matrix/client/v3/publicRooms?server=SERVER", nil)},
		{name: "media", do: ask("GET", "/_matrix/client/v1/media/download/SERVER/abcdefgh", nil)},
		{name: "old media", do: ask("GET", "/_matrix/media/v3/download/SERVER/abcdefgh", nil)},
		{name: "thumbnail", do: ask("GET", "/_matrix/client/v1/media/thumbnail/SERVER/abcdefgh?width=32&height=32", nil)},
		{name: "invite", do: ask("POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/invite", func(s string) any { return object{"user_id": "@bob:" + s} })},
		{name: "keys", quiet: true, do: ask("POST", "/_matrix/client/v3/keys/query", func(s string) any { return object{"device_keys": object{"@bob:" + s: []string{}}} })},
		{name: "claim", quiet: true, do: ask("POST", "/_matrix/client/v3/keys/claim", func(s string) any {
			return object{"one_time_keys": object{"@bob:" + s: object{"D": "signed_curve25519"}}}
		})},
		{name: "to device", quiet: true, do: ask("PUT", "/_matrix/client/v3/sendToDevice/m.test/SERVER", func(s string) any {
			return object{"messages": object{"@bob:" + s: object{"*": object{"k": "v"}}}}
		})},
	}
}

// TestNoWayLeadsAbroad has a person name each server of elsewhere in each way there is.
func TestNoWayLeadsAbroad(t *testing.T) {
	l := newLab(t)
	elsewhere := l.elsewhere()
	w := l.town("mairie.lab", "127.10.0.1", french+partners(l.admitted()...), "")
	room, err := w.alice.CreateRoom(t.Context(), object{"preset": "public_chat"})
	mx.Must(t, err)
	for server, rule := range elsewhere {
		attempts := int64(0)
		for _, way := range ways(room) {
			err := way.do(t.Context(), w.alice, server)
			if !way.here {
				attempts++
			}
			if way.quiet {
				continue
			}
			e := refused(err)
			if e == nil || e.Code != "M_FORBIDDEN" && !way.here || !way.here && !strings.Contains(e.Message, server) {
				t.Errorf("%s, %s: %v", server, way.name, err)
			} else if strings.Contains(e.Message, w.alice.Token) || strings.Contains(e.Message, "127.1") && !strings.Contains(server, "127.1") {
				t.Errorf("%s, %s: the error tells too much: %s", server, way.name, e.Message)
			}
		}
		if n, rules := w.refusals(server); n < attempts-1 || !slices.Contains(rules, rule) { // a message to devices may wait for the first failure
			t.Errorf("%s: %d refusals by %v are recorded of %d attempts; wanted %s", server, n, rules, attempts, rule)
		}
	}
	for _, name := range []string{"stranger.lab", "banned.lab"} {
		if l.wasAsked(name) || l.wasAsked("matrix."+name) || l.wasAsked("_matrix-fed._tcp."+name) {
			t.Errorf("the name server was asked about %s", name)
		}
	}
	w.nothingLeft()
}

// nothingLeft is what a security officer asks for: the record says that nothing left, and verifies.
func (w *town) nothingLeft() {
	w.l.t.Helper()
	w.l.silence()
	if left := w.asks("left-territory"); len(left) != 0 {
		w.l.t.Errorf("left the territory: %+v", left)
	}
	if out, err := w.Command("ledger", "verify", "-territory", "FR,RE"); err != nil || strings.Contains(out, "left the territory") {
		w.l.t.Errorf("verify: %v\n%s", err, out)
	}
}
