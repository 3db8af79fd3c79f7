package identity

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rempart/internal/matrix"
)

// childName is the environment variable by which the test binary becomes an identity server.
const childName = "REMPART_TEST_IDENTITY"

// token is that of everybody at the identity server.
const token = "identity-token"

// TestMain is the test, or the identity server when the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv(childName) != "" {
		fmt.Fprintln(os.Stderr, serveChild())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// directory is what the identity server knows.
type directory struct {
	mu      sync.Mutex
	name    matrix.ServerName
	key     ed25519.PrivateKey
	pepper  int
	changes int // how often the pepper changes between two requests
	known   map[string]matrix.UserID
	waiting map[string][]map[string]string // by address
}

func serveChild() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	d := &directory{name: matrix.ServerName(l.Addr().String()), key: key, changes: 1,
		known: map[string]matrix.UserID{}, waiting: map[string][]map[string]string{}}
	fmt.Println(l.Addr())
	return http.Serve(l, d) //nolint:gosec // a test's server needs no timeouts
}

type object = map[string]any

func reply(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// ServeHTTP answers the few operations that a homeserver needs, and those of the test below /test.
func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var in struct {
		Addresses                                     []string
		Pepper, Address, Medium, Sender, User, Server string
		Room                                          string `json:"room_id"`
		Name                                          string `json:"room_name"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	path, official := strings.CutPrefix(r.URL.Path, "/_matrix/identity/v2/")
	if official && r.Header.Get("Authorization") != "Bearer "+token {
		reply(w, http.StatusUnauthorized, object{"errcode": "M_UNAUTHORIZED", "error": "who are you"})
		return
	}
	public := base64.RawStdEncoding.EncodeToString(d.key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // it is one
	switch path {
	case "hash_details":
		reply(w, http.StatusOK, object{"algorithms": []string{"none", "sha256"}, "lookup_pepper": fmt.Sprint("p", d.pepper)})
		if d.changes > 0 {
			d.changes--
			d.pepper++
		}
	case "lookup":
		if in.Pepper != fmt.Sprint("p", d.pepper) {
			reply(w, http.StatusBadRequest, object{"errcode": "M_INVALID_PEPPER", "error": "it changed"})
			return
		}
		found := map[string]matrix.UserID{}
		for address, user := range d.known {
			sum := sha256.Sum256([]byte(address + " email " + in.Pepper))
			for _, asked := range in.Addresses {
				if asked == base64.RawURLEncoding.EncodeToString(sum[:]) {
					found[asked] = user
				}
			}
		}
		reply(w, http.StatusOK, object{"mappings": found})
	case "store-invite":
		invite := map[string]string{"token": rand.Text(), "sender": in.Sender, "room_id": in.Room, "room_name": in.Name}
		d.waiting[in.Address] = append(d.waiting[in.Address], invite)
		reply(w, http.StatusOK, object{"token": invite["token"], "display_name": in.Address[:1] + "…", "public_keys": []object{
			{"public_key": public, "key_validity_url": "http://" + string(d.name) + "/_matrix/identity/v2/pubkey/isvalid"}}})
	case "/test/know":
		d.known[in.Address] = matrix.UserID(in.User)
		reply(w, http.StatusOK, object{})
	case "/test/bind":
		d.bind(w, in.Address, matrix.UserID(in.User), in.Server)
	default:
		reply(w, http.StatusNotFound, object{"errcode": "M_UNRECOGNIZED", "error": path})
	}
}

// bind makes an address a user's: it signs what waits for him, and tells his homeserver when there is one.
func (d *directory) bind(w http.ResponseWriter, address string, user matrix.UserID, server string) {
	d.known[address] = user
	var invites []object
	for _, i := range d.waiting[address] {
		raw, err := json.Marshal(map[string]string{"mxid": string(user), "token": i["token"], "sender": i["sender"]})
		if err == nil {
			raw, err = matrix.SignJSON(raw, matrix.SigningKey{ServerName: d.name, KeyID: "ed25519:0", Private: d.key})
		}
		if err != nil {
			reply(w, http.StatusInternalServerError, object{"error": err.Error()})
			return
		}
		invites = append(invites, object{"medium": "email", "address": address, "mxid": user, "room_id": i["room_id"],
			"room_name": i["room_name"], "sender": i["sender"], "signed": json.RawMessage(raw)})
	}
	if server != "" {
		body, _ := json.Marshal(object{"medium": "email", "address": address, "mxid": user, "invites": invites})
		req, _ := http.NewRequest(http.MethodPut, server+"/_matrix/federation/v1/3pid/onbind", bytes.NewReader(body)) //nolint:noctx // a test's
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			reply(w, http.StatusBadGateway, object{"error": fmt.Sprint(err)})
			return
		}
		_ = res.Body.Close()
	}
	reply(w, http.StatusOK, object{"invites": invites})
}

// identity is the identity server's process, as the test sees it.
type identity struct {
	t   *testing.T
	url string
	cmd *exec.Cmd
}

func start(t *testing.T) *identity {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i := &identity{t: t, cmd: exec.Command(self)}
	i.cmd.Env = append(os.Environ(), childName+"=1")
	i.cmd.Stderr = os.Stderr
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := i.cmd.StdoutPipe()
	if err == nil {
		err = i.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	i.url = "http://" + strings.TrimSpace(line)
	return i
}

func (i *identity) host() string { return strings.TrimPrefix(i.url, "http://") }

func (i *identity) kill() {
	_ = i.cmd.Process.Kill()
	_ = i.cmd.Wait()
}

// invite is an invitation with the identity server's signature.
type invite struct {
	Room   string          `json:"room_id"`
	Name   string          `json:"room_name"`
	Sender string          `json:"sender"`
	Signed json.RawMessage `json:"signed"`
}

// tell has the identity server do something for the test, and gives the invitations of the answer.
func (i *identity) tell(path string, body object) []invite {
	i.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		i.t.Fatal(err)
	}
	res, err := http.Post(i.url+"/test/"+path, "application/json", bytes.NewReader(raw)) //nolint:noctx // a test's
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	var out struct{ Invites []invite }
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(answer, &out) != nil {
		i.t.Fatalf("%s: %d %s", path, res.StatusCode, answer)
	}
	return out.Invites
}
