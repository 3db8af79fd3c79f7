package federation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/storage"
)

// signer signs for one server, and for those that the test plays.
type signer struct {
	key    matrix.SigningKey
	others *crowd
}

func (s signer) SigningKey(server matrix.ServerName) (matrix.SigningKey, bool) {
	if server == s.key.ServerName {
		return s.key, true
	}
	return s.others.SigningKey(server)
}

// A guest joins a room of many members on many servers and much state that another process has. What it costs is printed, in full
// size by REMPART_PROVE=1; REMPART_PROFILE names a file for the profile of the one who joins.
func TestJoinOfALargeRoom(t *testing.T) {
	members, state, servers := 300, 500, 10
	if os.Getenv("REMPART_PROVE") == "1" {
		members, state, servers = 10_000, 50_000, 100
	}
	ca := fakenet.NewCA(t)
	others := newCrowd(t, ca, servers, nil)
	hosts := profiling(t, ".host")
	pprofA := os.Getenv("REMPART_LISTEN_PPROF")
	a := live.Start(t, live.Options{CA: ca})
	profile := profiling(t, "")
	b := live.Start(t, live.Options{CA: ca})
	os.Unsetenv("REMPART_LISTEN_PPROF")
	p, ctx := people(t, a, b), t.Context()
	room, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	p.a.Stop()
	fill(t, p, others, room, members, state)
	os.Setenv("REMPART_LISTEN_PPROF", pprofA)
	p.a.Restart()
	os.Unsetenv("REMPART_LISTEN_PPROF")
	if _, err := p.bob.Sync(ctx, "", 0); err != nil {
		t.Fatal(err)
	}
	idle, cpu, began := memory(t, p.b.PID()), ticks(t, p.b.PID()), time.Now()
	ended, hostEnded := profile(), hosts()
	joinPatiently(t, p.bob, room, p.a.Name)
	took, cpu := time.Since(began), ticks(t, p.b.PID())-cpu
	t.Logf("%d members, %d pieces of state: %.1f s, %.1f s of CPU, %d MiB above idle at most", members, state, took.Seconds(),
		float64(cpu)/100, (peak(t, p.b.PID())-idle)>>10)
	ended()
	hostEnded()
	var got struct {
		Joined map[string]any `json:"joined"`
	}
	mx.Must(t, p.bob.Do(ctx, "GET", "/_matrix/client/v3/rooms/"+room+"/joined_members", nil, &got))
	if len(got.Joined) != members+2 {
		t.Errorf("%d members, want %d", len(got.Joined), members+2)
	}
	_, err = p.bob.Send(ctx, room, "1", "it was worth it")
	mx.Must(t, err)
	waitFor(t, p.alice, room, "it was worth it")
}

// joinPatiently joins a room through a server, however long it takes.
func joinPatiently(t *testing.T, c *mx.Client, room, server string) {
	t.Helper()
	address := c.URL + "/_matrix/client/v3/join/" + url.PathEscape(room) + "?via=" + url.QueryEscape(server)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("{}"))
	mx.Must(t, err)
	req.Header.Set("Authorization", "Bearer "+c.Token)
	res, err := http.DefaultClient.Do(req)
	mx.Must(t, err)
	mx.Must(t, res.Body.Close())
	if res.StatusCode != http.StatusOK {
		t.Fatalf("joining was answered %d", res.StatusCode)
	}
}

// fill puts members and state into a room of the first server, which does not run.
func fill(t *testing.T, p *pair, others *crowd, id string, members, state int) {
	t.Helper()
	b := bus.New[storage.Batch]()
	db, err := storage.Open(t.Context(), storage.Options{URL: find(t, p.a.Dir, "*.db"), Publish: b.Publish})
	mx.Must(t, err)
	defer func() { mx.Must(t, db.Close()) }()
	server := matrix.ServerName(p.a.Name)
	own, err := matrix.LoadOrCreateSigningKey(find(t, p.a.Dir, "signing.key"), server)
	mx.Must(t, err)
	s, err := rooms.New(t.Context(), rooms.Options{DB: db, Bus: b, Keys: signer{own[0], others}})
	mx.Must(t, err)
	defer s.Close()
	room, err := s.Room(t.Context(), matrix.RoomID(id))
	mx.Must(t, err)
	var drafts []rooms.Draft
	add := func(sender matrix.UserID, typ, key string, content map[string]any) {
		raw, _ := json.Marshal(content)
		drafts = append(drafts, rooms.Draft{Sender: sender, Type: typ, StateKey: &key, Content: raw})
		if len(drafts) == 500 {
			flush(t, s, room, &drafts)
		}
	}
	for i := range members {
		user := others.servers[i%len(others.servers)].member(i)
		add(user, "m.room.member", string(user), map[string]any{"membership": "join", "displayname": fmt.Sprint("Member ", i)})
	}
	for i := range state - members {
		add(matrix.UserID(p.alice.UserID), "org.example.state", strconv.Itoa(i), map[string]any{"text": strings.Repeat("word ", 20)})
	}
	flush(t, s, room, &drafts)
}

func flush(t *testing.T, s *rooms.Service, room *rooms.Room, drafts *[]rooms.Draft) {
	t.Helper()
	if len(*drafts) == 0 {
		return
	}
	_, err := s.Compose(t.Context(), room, func(*rooms.View) ([]rooms.Draft, error) { return *drafts, nil })
	mx.Must(t, err)
	*drafts = nil
}

// find is the one file of a name in a folder.
func find(t *testing.T, dir, pattern string) string {
	t.Helper()
	for _, sub := range []string{"", "data", "*"} {
		if list, _ := filepath.Glob(filepath.Join(dir, sub, pattern)); len(list) > 0 {
			for _, path := range list {
				if filepath.Base(path) != "key.pem" {
					return path
				}
			}
		}
	}
	t.Fatalf("no %s in %s", pattern, dir)
	return ""
}

// ticks is the processor time that a process took, in hundredths of a second.
func ticks(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	mx.Must(t, err)
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return user + system
}

func memory(t *testing.T, pid int) int64 { return account(t, pid, "VmRSS:") }
func peak(t *testing.T, pid int) int64   { return account(t, pid, "VmHWM:") }

// account is a number of a process's own account, in KiB.
func account(t *testing.T, pid int, name string) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	mx.Must(t, err)
	_, rest, _ := strings.Cut(string(raw), name)
	n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return n
}
