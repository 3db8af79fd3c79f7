package calls

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// usage is what a process has used: seconds of CPU, MiB of memory, open files.
type usage struct {
	cpu        float64
	mib, files int
}

func use(t *testing.T, pid int) usage {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	pages, _ := strconv.Atoi(f[21])
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return usage{float64(user+system) / 100, pages * os.Getpagesize() >> 20, len(files)}
}

// sends has somebody send one kind of media, a packet of a size at a time.
func sends(t *testing.T, room *lksdk.Room, mime string, size int, every time.Duration) {
	t.Helper()
	codec := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 48000, Channels: 2}
	data := append([]byte{0xf8, 0xff, 0xfe}, make([]byte, size)...)
	if mime == webrtc.MimeTypeVP8 {
		codec = webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000}
		data = append([]byte{0x10, 2, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0}, make([]byte, size)...)
	}
	track := publish(t, room, codec, &lksdk.TrackPublicationOptions{Name: mime})
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
				_ = track.WriteSample(media.Sample{Data: data, Duration: every}, nil)
			}
		}
	}()
}

// sendTimes are how long a message took, sorted.
func sendTimes(p *person, room, tag string) []time.Duration {
	var times []time.Duration
	for i := range 200 {
		began := time.Now()
		p.must("PUT", fmt.Sprintf("/_matrix/client/v3/rooms/%s/send/m.room.message/%s%d", room, tag, i), map[string]string{"msgtype": "m.text", "body": "x"})
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times
}

// crowdEnv names a file with the address of a server and a token a line, for a process that this test starts.
const crowdEnv = "REMPART_TEST_CROWD"

// crowd starts participants in a process of their own, which stands back behind those that are measured, and gives what it says.
func crowd(t *testing.T, url string, tokens []string) *bufio.Scanner {
	t.Helper()
	file := filepath.Join(t.TempDir(), "crowd")
	if err := os.WriteFile(file, []byte(url+"\n"+strings.Join(tokens, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nice", "-n", "19", os.Args[0], "-test.run=TestCrowd$", "-test.v")
	cmd.Env, cmd.SysProcAttr = append(os.Environ(), crowdEnv+"="+file), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		_, err = cmd.StdinPipe() // open until the end
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out)
}

// next waits for a line.
func next(t *testing.T, said *bufio.Scanner, line string) {
	t.Helper()
	var all []string
	for said.Scan() {
		if all = append(all, said.Text()); said.Text() == line {
			return
		}
	}
	t.Fatalf("no %q: %q", line, all)
}

// TestCrowd is no test: it is the participants of TestFiftyInACall.
func TestCrowd(t *testing.T) {
	text, err := os.ReadFile(os.Getenv(crowdEnv))
	if err != nil {
		t.Skip("it is started by another test")
	}
	lksdk.SetLogger(logger.GetDiscardLogger())
	lines := strings.Split(string(text), "\n")
	var all []*heard
	for i, jwt := range lines[1:] {
		r, h, err := (&person{t: t, url: lines[0]}).join(jwt)
		if err != nil {
			t.Fatal(err)
		}
		if i < 6 {
			sends(t, r, webrtc.MimeTypeVP8, 1000, 20*time.Millisecond)
		}
		sends(t, r, webrtc.MimeTypeOpus, 100, map[bool]time.Duration{true: 20 * time.Millisecond, false: 400 * time.Millisecond}[i < 3])
		all = append(all, h)
	}
	for i, h := range all {
		wait(t, fmt.Sprintf("pictures at %d", i), 500, h.video)
		wait(t, fmt.Sprintf("sound at %d", i), 200, h.audio)
	}
	fmt.Println("here")
	for i, h := range all {
		wait(t, fmt.Sprintf("pictures at %d", i), 1500, h.video)
	}
	fmt.Println("still here")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestFiftyInACall measures a room of fifty (REMPART_CALL_PEOPLE): all with sound, three of whom speak and the others send the few
// packets of silence, and six with pictures of 400 kbit/s. Everybody receives everything.
func TestFiftyInACall(t *testing.T) {
	if os.Getenv("REMPART_PROVE") == "" {
		t.Skip("make prove runs this")
	}
	n, _ := strconv.Atoi(os.Getenv("REMPART_CALL_PEOPLE"))
	if n == 0 {
		n = 50
	}
	s := start(t)
	alice := register(t, s, "alice")
	room := alice.must("POST", "/_matrix/client/v3/createRoom", map[string]any{"preset": "public_chat"})["room_id"].(string)
	pid := child(t)
	before, alone := use(t, pid), sendTimes(alice, room, "alone")
	var tokens []string
	for i := range n {
		p := register(t, s, fmt.Sprintf("p%d", i))
		p.must("POST", "/_matrix/client/v3/join/"+room, struct{}{})
		status, jwt := p.ask(room)
		if status != http.StatusOK {
			t.Fatalf("no token: %d", status)
		}
		tokens = append(tokens, jwt)
	}
	said := crowd(t, s.URL, tokens)
	next(t, said, "here")
	began, first := time.Now(), use(t, pid)
	busy := sendTimes(alice, room, "busy")
	next(t, said, "still here")
	last, took := use(t, pid), time.Since(began).Seconds()
	p95 := func(times []time.Duration) time.Duration { return times[len(times)*95/100] }
	t.Logf("%d people: media process %.0f %% of a core, %d MiB (%d before); a message p95 %v, alone %v", n, 100*(last.cpu-first.cpu)/took, last.mib, before.mib, p95(busy), p95(alone))
}
