package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rempart/config"
	"rempart/core"
	"rempart/internal/matrix"
	"rempart/policy"
)

// TestEveryPointIsAsked keeps a decision point from being forgotten, on either side: each constant of type policy.Point is in the
// registry, and each point of the registry is asked about somewhere in this program.
func TestEveryPointIsAsked(t *testing.T) {
	declared := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "../../policy/points.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Point" {
				declared[spec.Names[0].Name] = strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
			}
		}
		return true
	})
	registry := map[string]bool{}
	for _, p := range policy.Points() {
		registry[string(p.Point)] = true
		if p.EN == "" || p.FR == "" {
			t.Errorf("%s has no words", p.Point)
		}
	}
	if len(declared) != len(registry) || len(declared) < 19 {
		t.Errorf("%d points are declared, %d are in the registry", len(declared), len(registry))
	}
	asked := pointsAsked(t)
	for name, point := range declared {
		if !registry[point] {
			t.Errorf("%s is not in the registry", point)
		}
		if !asked[name] {
			t.Errorf("nobody asks about %s", point)
		}
	}
	for _, act := range []core.RoomAct{core.ActJoin, core.ActInvite, core.ActClosure} {
		if string(pointOfRooms(act)) != string(act) {
			t.Errorf("%s is judged as %q", act, pointOfRooms(act))
		}
	}
}

// pointsAsked are the names of points that the files of this program use.
func pointsAsked(t *testing.T) map[string]bool {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "replay.go" { // which asks again what was asked before
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "policy" {
					asked[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	return asked
}

// TestEveryQuestionOfOthersHasAKind asks each signed route of the server-server API for its kind of data.
func TestEveryQuestionOfOthersHasAKind(t *testing.T) {
	for path, want := range map[string]string{
		"/_matrix/federation/v1/send/1":                                       "",
		"/_matrix/federation/v1/query/profile?user_id=@a:b":                   policy.DataProfiles,
		"/_matrix/federation/v1/query/directory?room_alias=%23a:b":            policy.DataDirectory,
		"/_matrix/federation/v1/query/unheard":                                policy.DataProfiles,
		"/_matrix/federation/v1/publicRooms":                                  policy.DataDirectory,
		"/_matrix/federation/v1/user/devices/@a:b":                            policy.DataDevices,
		"/_matrix/federation/v1/user/keys/query":                              policy.DataDevices,
		"/_matrix/federation/v1/media/download/x":                             policy.DataMedia,
		"/_matrix/federation/v1/media/thumbnail/x":                            policy.DataMedia,
		"/_matrix/federation/unstable/org.matrix.msc3916.v2/media/download/x": policy.DataMedia,
		"/_matrix/federation/v1/state/!a:b":                                   policy.DataRooms,
		"/_matrix/federation/v1/backfill/!a:b":                                policy.DataRooms,
		"/_matrix/federation/v2/send_join/!a:b/$c":                            policy.DataRooms,
		"/_matrix/federation/v1/make_knock/!a:b/@c:d":                         policy.DataRooms,
		"/_matrix/federation/v1/hierarchy/!a:b":                               policy.DataRooms,
		"/_matrix/policy/v1/sign":                                             policy.DataRooms,
		"/_matrix/federation/v1/something/that/is/not/there/yet":              policy.DataRooms,
		"/": policy.DataRooms,
	} {
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := dataAsked(u); got != want {
			t.Errorf("%s: %q, not %q", path, got, want)
		}
	}
}

// TestGrants lets a partner have what it was granted, by the organisation that it asks.
func TestGrants(t *testing.T) {
	text := "version: 1\npartners: [{server: a.fr}, {server: b.fr, allow: [rooms, directory]}]\ntenants: [{server: commune.fr, file: commune.yaml}]\n"
	dir := t.TempDir()
	for name, content := range map[string]string{"policy.yaml": text, "commune.yaml": "version: 1\npartners: [{server: a.fr, allow: [rooms]}]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, err := readPolicy(filepath.Join(dir, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	j := judgeOf(t, policy.Simple{})
	j.policy.Replace(g)
	for _, c := range []struct {
		ours, server, kind string
		ok                 bool
	}{
		{"ville.fr", "a.fr", policy.DataMedia, true}, {"ville.fr", "a.fr", policy.DataProfiles, true}, {"ville.fr", "a.fr", policy.DataDirectory, false},
		{"ville.fr", "b.fr", policy.DataDirectory, true}, {"ville.fr", "b.fr", policy.DataMedia, false}, {"ville.fr", "b.fr", "", true},
		{"commune.fr", "a.fr", policy.DataRooms, true}, {"commune.fr", "a.fr", policy.DataMedia, false}, {"commune.fr", "b.fr", "", false},
		{"ville.fr", "c.fr", "", false},
	} {
		err := j.grants(t.Context(), matrix.ServerName(c.ours), matrix.ServerName(c.server), c.kind)
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestPolicyAdministration asks a running server about its policy, changes the file, and finds a refusal by its id.
func TestPolicyAdministration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("version: 1\npartners: [{server: a.fr}]\n")
	s, address := served(t, func(cfg *config.Config) { cfg.Policy.File, cfg.Support.Page = file, "https://127.12.0.1/help" })
	code, _, errs := runCommand("correct horse battery\n", "user", "create", "-config", s.config.File, "-admin", "boss")
	if code != 0 {
		t.Fatal(errs)
	}
	token := login(t, address, "boss", "correct horse battery")
	call := func(method, path, body string) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		raw, _ := io.ReadAll(resp.Body)
		out := map[string]any{}
		_ = json.Unmarshal(raw, &out)
		return resp.StatusCode, out
	}
	ask := func(method, path, body string) (int, map[string]any) {
		t.Helper()
		return call(method, "/_rempart/admin/v1"+path, body)
	}
	status, first := ask("GET", "/policy", "")
	if status != 200 || first["broken"] != false || first["policy_digest"] == "" {
		t.Fatalf("%d %v", status, first)
	}
	candidate, _ := json.Marshal(map[string]string{"policy": "version: 1\npartners: [{server: b.fr}]\n"})
	if status, out := ask("POST", "/policy/whatif", string(candidate)); status != 200 || out["loosens"].(float64) == 0 || len(out["flips"].([]any)) == 0 {
		t.Errorf("%d %v", status, out)
	}
	if status, out := ask("POST", "/policy/lint", `{"policy":"version: 1\nfederaton: {}\n"}`); status != 200 || out["ok"] != false || len(out["mistakes"].([]any)) == 0 {
		t.Errorf("%d %v", status, out)
	}
	inside, _ := json.Marshal(map[string]string{"policy": "version: 1\nterritory: {within: [france], lab: true}\n"})
	if _, out := ask("POST", "/policy/lint", string(inside)); !strings.Contains(strings.Join(texts(out["notes"]), "\n"), "support.page sends people to 127.12.0.1") {
		t.Errorf("what is published is not looked for: %v", out)
	}
	if _, out := ask("GET", "/policy/explain?point=fed.dial&name=c.fr", ""); !strings.Contains(strings.Join(texts(out["steps"]), "\n"), "partner.unknown") {
		t.Errorf("%v", out)
	}
	write("version: 1\nfederaton: {}\n")
	if status, out := ask("POST", "/policy/reload", "{}"); status != 400 || !strings.Contains(out["error"].(string), "federaton") {
		t.Errorf("an invalid file: %d %v", status, out)
	}
	if _, out := ask("GET", "/policy", ""); out["broken"] != true || out["policy_digest"] != first["policy_digest"] {
		t.Errorf("after an invalid file: %v", out)
	}
	if _, out := ask("GET", "/policy/alarms", ""); !strings.Contains(strings.Join(texts(out["now"]), "\n"), "not taken") {
		t.Errorf("no alarm: %v", out)
	}
	write("version: 1\npartners: [{server: b.fr}]\n")
	if status, out := ask("POST", "/policy/reload", "{}"); status != 200 || out["broken"] != false || out["generation"].(float64) <= first["generation"].(float64) {
		t.Errorf("%d %v", status, out)
	}
	_, room := call("POST", "/_matrix/client/v3/createRoom", `{"preset":"private_chat"}`)
	status, refused := call("POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room["room_id"].(string))+"/invite", `{"user_id":"@x:a.fr"}`)
	reason, _ := refused["fr.rempart.reason"].(map[string]any)
	if status != 403 || reason["code"] != policy.RulePartner {
		t.Fatalf("%d %v", status, refused)
	}
	if status, out := ask("GET", "/explain/"+reason["decision_id"].(string), ""); status != 200 || out["point"] != string(policy.RoomInvite) || out["server"] != "a.fr" {
		t.Errorf("%d %v", status, out)
	}
	if _, out := ask("GET", "/decisions?point=room.invite", ""); len(out["decisions"].([]any)) == 0 {
		t.Errorf("%v", out)
	}
	if status, out := ask("GET", "/closures", ""); status != 200 || len(out["closures"].([]any)) != 0 {
		t.Errorf("%d %v", status, out)
	}
	if status, _ := ask("GET", "/explain/unknown", ""); status != 404 {
		t.Errorf("an unknown decision: %d", status)
	}
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, one := range list {
		out = append(out, one.(string))
	}
	return slices.Clip(out)
}
