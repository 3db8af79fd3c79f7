package sovereign

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
)

// anywhere is the policy of a server that does not care.
const anywhere = `version: 1
partners: [{server: "*", private: true, allow: [rooms, media, profiles, devices, receipts, typing, presence, directory]}]
outside: [{point: infra.dns, hosts: [configured], private: true}]
`

// TestDayOfTraffic has four servers do what servers do all day: two in France, one of them overseas; one in France under foreign law; one
// abroad. Each knows the others by name as partners, so it is the places alone that decide. Only the two exchange anything.
func TestDayOfTraffic(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	all := []string{"mairie.lab", "region.lab", "cloud.lab", "abroad.lab"}
	gate := l.gateway("push.lab", "127.10.0.70")
	rules := strings.Replace(french, "push.lab", "push.lab, push.abroad.lab", 1)
	mairie := l.town("mairie.lab", "127.10.0.1", rules+partners(all[1:]...), "previews:\n  enabled: true\n")
	region := l.town("region.lab", "127.13.0.1", rules+partners("mairie.lab", "cloud.lab", "abroad.lab"), "")
	cloud, abroad := l.stranger("cloud.lab", "127.11.0.1"), l.stranger("abroad.lab", "127.12.0.1")
	frenchTowns, others := []*town{mairie, region}, []*town{cloud, abroad}

	hall, err := mairie.alice.CreateRoom(ctx, object{"preset": "public_chat", "visibility": "public", "room_alias_name": "hall", "name": "Hall", "room_version": "11"})
	mx.Must(t, err)
	mx.Must(t, mairie.alice.Do(ctx, "PUT", "/_matrix/client/v3/profile/"+mairie.alice.UserID+"/displayname", object{"displayname": "Alice"}, nil))
	mx.Must(t, mairie.alice.Do(ctx, "POST", "/_matrix/client/v3/pushers/set", object{"kind": "http", "app_id": "app", "pushkey": "key", "app_display_name": "a",
		"device_display_name": "d", "lang": "fr", "data": object{"url": gate.url}}, nil))
	mx.Must(t, region.alice.Do(ctx, "POST", "/_matrix/client/v3/join/%23hall:mairie.lab", object{}, nil))
	file := mairie.upload("minutes of the council")

	for _, o := range others {
		o.triesToGetIn(mairie, hall, file, frenchTowns)
	}

	// What is said all day.
	for i := range 20 {
		from := frenchTowns[i%2].alice
		_, err := from.Send(ctx, hall, fmt.Sprint("day", i), fmt.Sprint("said ", i))
		mx.Must(t, err)
		mx.Must(t, from.Do(ctx, "PUT", "/_matrix/client/v3/rooms/"+url.PathEscape(hall)+"/typing/"+from.UserID, object{"typing": i%4 < 2, "timeout": 1000}, nil))
		for _, name := range all {
			mx.Must(t, from.Do(ctx, "PUT", fmt.Sprintf("/_matrix/client/v3/sendToDevice/m.test/%s%d", name, i), object{"messages": object{"@alice:" + name: object{"*": object{"i": i}}}}, nil))
		}
	}
	for _, f := range frenchTowns {
		mx.Must(t, f.alice.Do(ctx, "PUT", "/_matrix/client/v3/presence/"+f.alice.UserID+"/status", object{"presence": "online"}, nil))
		query := object{}
		for _, name := range all {
			query["@alice:"+name] = []string{}
		}
		mx.Must(t, f.alice.Do(ctx, "POST", "/_matrix/client/v3/keys/query", object{"device_keys": query, "timeout": 2000}, nil))
		f.hears(hall, "said 0", "said 1", "said 18", "said 19")
	}
	mx.Must(t, region.alice.Do(ctx, "GET", "/_matrix/client/v3/profile/"+mairie.alice.UserID, nil, nil))
	mx.Must(t, region.alice.Do(ctx, "GET", "/_matrix/client/v3/publicRooms?server=mairie.lab", nil, nil))
	region.reads(file, "minutes of the council")
	page := l.page("127.10.0.80", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<title>A page</title>")
	})
	l.host("pages.lab", "127.10.0.80")
	mx.Must(t, mairie.alice.Do(ctx, "GET", "/_matrix/client/v1/media/preview_url?url="+url.QueryEscape(fmt.Sprintf("http://pages.lab:%d/", page)), nil, nil))
	l.until("the gateway in France is told", func() bool { return gate.told() != "" })
	if text := gate.told(); strings.Contains(text, "said") || strings.Contains(text, "Alice") || strings.Contains(text, "Hall") {
		t.Errorf("the gateway was told what was said, or who said it: %s", text)
	}

	for _, o := range others {
		if n := o.relay.conns.Load(); n != 0 {
			t.Errorf("%d connections with %d bytes reached %s", n, o.relay.bytes.Load(), o.Name)
		}
		for _, f := range frenchTowns {
			f.refusals(o.Name)
			for _, e := range f.settled(o.Name) {
				if kept := e.Kind == "transaction" && !e.Outcome.OK && e.Outcome.Sent == 0; e.Kind != "refused" && !kept {
					t.Errorf("%s: record %d is a %s (%s) for %s", f.Name, e.N, e.Kind, e.For, o.Name)
				}
			}
		}
	}
	for _, f := range frenchTowns {
		f.officer()
	}
	if kinds := mairie.kinds("region.lab"); kinds["transaction"] == 0 || kinds["answer"] == 0 || kinds["connection"] == 0 {
		t.Errorf("what the two exchanged is not all recorded: %v", kinds)
	}
}

// settled lists the records about a server at a time when no transaction to it is being tried: of one that is, nobody knows yet how it ends.
func (w *town) settled(dest string) (all []entry) {
	w.l.t.Helper()
	w.l.until("nothing is on its way to "+dest, func() bool {
		all = w.trace(dest)
		return !slices.ContainsFunc(all, func(e entry) bool { return e.Kind == "transaction" && e.Outcome == nil })
	})
	return all
}

// triesToGetIn has a server elsewhere try to get in, and the French try to let it in.
func (w *town) triesToGetIn(mairie *town, hall, file string, frenchTowns []*town) {
	ctx, t, o := w.l.t.Context(), w.l.t, w
	for i, err := range []error{
		o.alice.Do(ctx, "POST", "/_matrix/client/v3/join/%23hall:mairie.lab", object{}, nil),
		o.alice.Do(ctx, "POST", "/_matrix/client/v3/join/"+url.PathEscape(hall)+"?via=mairie.lab&via=region.lab", object{}, nil),
		o.alice.Do(ctx, "GET", "/_matrix/client/v1/media/download/"+strings.TrimPrefix(file, "mxc://"), nil, nil),
		o.alice.Do(ctx, "GET", "/_matrix/client/v3/profile/"+mairie.alice.UserID, nil, nil),
		o.alice.Do(ctx, "GET", "/_matrix/client/v3/publicRooms?server=mairie.lab", nil, nil),
		o.alice.Do(ctx, "GET", "/_matrix/client/v3/publicRooms?server=region.lab", nil, nil),
	} {
		if refused(err) == nil {
			t.Errorf("%s got something (%d): %v", o.Name, i, err)
		}
	}
	own, err := o.alice.CreateRoom(ctx, object{"preset": "public_chat", "room_alias_name": "bait", "visibility": "public"})
	mx.Must(t, err)
	_ = o.alice.Do(ctx, "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(own)+"/invite", object{"user_id": mairie.alice.UserID}, nil)
	for _, f := range frenchTowns {
		for i, err := range []error{
			f.alice.Do(ctx, "POST", "/_matrix/client/v3/join/%23bait:"+o.Name, object{}, nil),
			f.alice.Do(ctx, "POST", "/_matrix/client/v3/join/"+url.PathEscape(own)+"?via="+o.Name, object{}, nil),
			f.alice.Do(ctx, "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(hall)+"/invite", object{"user_id": "@alice:" + o.Name}, nil),
			f.alice.Do(ctx, "GET", "/_matrix/client/v3/profile/@alice:"+o.Name, nil, nil),
			f.alice.Do(ctx, "GET", "/_matrix/client/v3/publicRooms?server="+o.Name, nil, nil),
		} {
			if e := refused(err); e == nil || e.Code != "M_FORBIDDEN" {
				t.Errorf("%s and %s (%d): %v", f.Name, o.Name, i, err)
			}
		}
	}
}

// officer asks what a security officer asks in the evening, by the commands that he has.
func (w *town) officer() {
	w.l.t.Helper()
	out, err := w.Command("ledger", "left-territory")
	var trail struct {
		Entries    []entry
		Size       int64
		Checkpoint string
	}
	if err != nil || json.Unmarshal([]byte(out), &trail) != nil || len(trail.Entries) != 0 || trail.Size == 0 {
		w.l.t.Errorf("%s: left-territory: %v\n%s", w.Name, err, out)
	}
	bundle := filepath.Join(w.l.t.TempDir(), "bundle")
	if out, err := w.Command("ledger", "export", "-config", filepath.Join(w.Dir, "rempart.yaml"), bundle); err != nil {
		w.l.t.Errorf("%s: export: %v %s", w.Name, err, out)
	}
	out, err = w.Command("ledger", "verify", "-bundle", bundle, "-key", filepath.Join(w.Dir, "ledger.key.pub"), "-territory", "FR,RE,GP,MQ,GF,YT")
	if err != nil || strings.Contains(out, "left the territory") || !strings.Contains(out, "records") {
		w.l.t.Errorf("%s: verify: %v %s", w.Name, err, out)
	}
	for _, e := range w.asks("left-territory") {
		w.l.t.Errorf("%s: left the territory: %+v", w.Name, e)
	}
}

// kinds counts the records about a server by kind.
func (w *town) kinds(dest string) map[string]int {
	out := map[string]int{}
	for _, e := range w.trace(dest) {
		out[e.Kind]++
	}
	return out
}

// hears waits until a person has what was said in a room.
func (w *town) hears(room string, said ...string) {
	w.l.t.Helper()
	w.l.until(w.Name+" hears all", func() bool {
		events, err := w.alice.History(w.l.t.Context(), room)
		mx.Must(w.l.t, err)
		have := map[string]bool{}
		for i := range events {
			have[events[i].Body()] = true
		}
		for _, s := range said {
			if !have[s] {
				return false
			}
		}
		return true
	})
}

// reads downloads a file.
func (w *town) reads(uri, want string) {
	w.l.t.Helper()
	req, err := http.NewRequestWithContext(w.l.t.Context(), "GET", w.URL+"/_matrix/client/v1/media/download/"+strings.TrimPrefix(uri, "mxc://"), nil)
	mx.Must(w.l.t, err)
	req.Header.Set("Authorization", "Bearer "+w.alice.Token)
	res, err := http.DefaultClient.Do(req)
	mx.Must(w.l.t, err)
	defer res.Body.Close()
	if raw, err := io.ReadAll(res.Body); err != nil || string(raw) != want {
		w.l.t.Errorf("%s: %s: %d %s %v", w.Name, uri, res.StatusCode, raw, err)
	}
}

// TestPolicyTightens takes a partner's agreement away while connections to it are open, events wait for it, and somebody syncs.
func TestPolicyTightens(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab"), "")
	p := l.peer("prefecture.lab", "127.10.0.2")
	room, err := w.alice.CreateRoom(ctx, object{"preset": "public_chat", "room_version": "11"})
	mx.Must(t, err)
	hold := make(chan struct{})
	p.answers(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/send/") {
			<-hold
		}
		_, _ = rw.Write([]byte(`{"pdus":{}}`))
	})
	mx.Must(t, p.join("mairie.lab", matrixRoom(room), "@bob:prefecture.lab"))
	for i := range 5 { // one is on its way, the others wait
		_, err := w.alice.Send(ctx, room, fmt.Sprint(i), "before")
		mx.Must(t, err)
	}
	l.until("a transaction is on its way", func() bool { return strings.Contains(strings.Join(p.log(), " "), "/send/") })
	first, err := w.alice.Sync(ctx, "", 0)
	mx.Must(t, err)
	synced := make(chan error, 1)
	go func() {
		_, err := w.alice.Sync(context.WithoutCancel(ctx), first.NextBatch, 20*time.Second)
		synced <- err
	}()
	w.adopt(french + partners("other.lab"))
	was := p.calls()
	close(hold)
	_, err = w.alice.Send(ctx, room, "after", "after")
	if e := refused(err); e == nil || e.Code != "M_FORBIDDEN" || !strings.Contains(e.Message, "prefecture.lab") {
		t.Errorf("a message into a room with whom the policy refuses: %v", err)
	}
	mx.Must(t, w.alice.Do(ctx, "PUT", "/_matrix/client/v3/sendToDevice/m.test/after", object{"messages": object{"@bob:prefecture.lab": object{"*": object{}}}}, nil))
	_ = w.alice.Do(ctx, "GET", "/_matrix/client/v3/profile/@bob:prefecture.lab", nil, nil)
	l.until("it is refused", func() bool { n, _ := w.refusals2("prefecture.lab"); return n > 0 })
	if _, err := p.QueryProfile(ctx, p.name, "mairie.lab", "@alice:mairie.lab", ""); status(err) != 403 {
		t.Errorf("it still asks: %v", err)
	}
	mx.Must(t, w.alice.Do(ctx, "PUT", "/_matrix/client/v3/sendToDevice/m.test/self", object{"messages": object{w.alice.UserID: object{"*": object{}}}}, nil))
	if err := <-synced; err != nil {
		t.Errorf("the sync that ran: %v", err)
	}
	if n := p.calls(); n != was {
		t.Errorf("%d requests reached a partner that is none any more: %v", n-was, p.log()[was:])
	}
	w.nothingLeft()
}
