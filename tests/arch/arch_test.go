package arch

import (
	"fmt"
	"strings"
	"testing"
)

// laws runs every check.
func laws(sources map[string]string) []Breach {
	files, broken := Parse(sources)
	for _, check := range []func([]*File) []Breach{Layers, Libraries, Doors, Shape, State} {
		broken = append(broken, check(files)...)
	}
	return broken
}

func TestTheTreeKeepsTheLaws(t *testing.T) {
	sources, err := ReadTree("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 50 {
		t.Fatalf("only %d files found", len(sources))
	}
	for _, b := range laws(sources) {
		t.Error(b)
	}
}

// importing is a documented file of a package that imports one thing.
func importing(imported string) string {
	return fmt.Sprintf("// Package x is.\npackage x\n\nimport _ %q\n", imported)
}

func TestBrokenLawsAreCaught(t *testing.T) {
	long := "// Package x is.\npackage x\n" + strings.Repeat("\n", 300)
	body := "// Package x is.\npackage x\n\n"
	for name, c := range map[string]struct{ path, source, want string }{
		"1 internal above":         {"internal/matrix/a.go", importing("rempart/storage"), "law 1"},
		"1 storage above":          {"storage/a.go", importing("rempart/core/rooms"), "law 1"},
		"1 storage and config":     {"storage/a.go", importing("rempart/config"), "law 1"},
		"2 core and entrance":      {"core/rooms/a.go", importing("rempart/clientapi"), "law 2"},
		"2 core and config":        {"core/users/a.go", importing("rempart/config"), "law 2"},
		"2 core and router":        {"core/users/a.go", importing("rempart/internal/httpx"), "law 2"},
		"2 rooms and sync":         {"core/rooms/a.go", importing("rempart/core/sync"), "law 2"},
		"3 entrance and entrance":  {"clientapi/a.go", importing("rempart/federation/client"), "law 3"},
		"3 entrance and storage":   {"clientapi/a.go", importing("rempart/storage"), "law 3"},
		"3 inbound and storage":    {"federation/inbound/a.go", importing("rempart/storage"), "law 3"},
		"4 policy and core":        {"policy/a.go", importing("rempart/core/rooms"), "law 4"},
		"4 policy and egress":      {"policy/a.go", importing("rempart/internal/egress"), "law 4"},
		"5 init":                   {"core/users/a.go", body + "func init() {}\n", "law 5"},
		"5 util":                   {"core/util/a.go", body, "law 5"},
		"5 mutex":                  {"core/users/a.go", body + "import \"sync\"\n\nvar mu sync.Mutex\n", "law 5"},
		"5 pool":                   {"core/users/a.go", body + "import \"sync\"\n\nvar p = sync.Pool{}\n", "law 5"},
		"5 cache":                  {"core/users/a.go", body + "var cache = make(map[string]int)\n", "law 5"},
		"5 generic atomic":         {"core/users/a.go", body + "import \"sync/atomic\"\n\nvar p atomic.Pointer[int]\n", "law 5"},
		"5 written":                {"core/users/a.go", body + "var n int\n\nfunc f() { n++ }\n", "law 5"},
		"5 written element":        {"core/users/a.go", body + "var m = map[string]int{}\n\nfunc f() { m[\"a\"] = 1 }\n", "law 5"},
		"5 setter":                 {"core/users/a.go", body + "// S is.\ntype S struct{}\n\n// SetRooms sets.\nfunc (s *S) SetRooms(r any) {}\n", "law 5"},
		"6 mux":                    {"clientapi/a.go", importing("github.com/gorilla/mux"), "law 6"},
		"6 library":                {"core/rooms/a.go", importing("github.com/matrix-org/gomatrixserverlib/spec"), "law 6"},
		"6 logrus in a test":       {"core/rooms/a_test.go", importing("github.com/sirupsen/logrus"), "law 6"},
		"6 viper":                  {"cmd/rempart/a.go", importing("github.com/spf13/viper"), "law 6"},
		"6 driver":                 {"core/rooms/a.go", importing("github.com/lib/pq"), "law 6"},
		"6 unknown library":        {"core/rooms/a.go", importing("example.org/lib"), "not decided"},
		"6 dial":                   {"core/push/a.go", body + "import \"net\"\n\nvar d = net.Dial\n", "law 6"},
		"6 renamed client":         {"mediaapi/a.go", body + "import h \"net/http\"\n\nvar c h.Client\n", "law 6"},
		"6 resolver":               {"federation/client/a.go", body + "import \"net\"\n\nvar r = net.LookupSRV\n", "law 6"},
		"2 requests in the core":   {"core/rooms/a.go", body + "import \"net/http\"\n\nvar h http.Handler\n", "law 2"},
		"8 keys in any letters":    {"core/rooms/a.go", body + "import \"encoding/json\"\n\nvar u = json.Unmarshal\n", "law 8"},
		"8 answers of others":      {"core/devices/a.go", body + "import \"encoding/json\"\n\nvar u = json.Unmarshal\n", "law 8"},
		"7 egress in the core":     {"core/push/a.go", importing("rempart/internal/egress"), "law 7"},
		"testkit in the server":    {"core/rooms/a.go", importing("rempart/internal/testkit"), "only tests"},
		"cmd imported":             {"clientapi/a.go", importing("rempart/cmd/rempart"), "nothing imports cmd"},
		"long cmd file":            {"cmd/rempart/a.go", long, "302 lines"},
		"long file":                {"core/rooms/a.go", long + long[len("// Package x is.\npackage x\n"):], "602 lines"},
		"long function":            {"core/rooms/a.go", body + "func f() {" + strings.Repeat("\n", 80) + "}\n", "81 lines"},
		"no package comment":       {"core/rooms/a.go", "package x\n", "no comment"},
		"no comment on a function": {"core/rooms/a.go", body + "func F() {}\n", "F has no comment"},
		"no comment on a type":     {"core/rooms/a.go", body + "type T int\n", "T has no comment"},
		"left to do":               {"core/rooms/a.go", body + "// TO" + "DO: more.\n", "do it"},
		"syntax":                   {"core/rooms/a.go", "package", "cannot be parsed"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := laws(map[string]string{c.path: c.source})
			if len(broken) != 1 || !strings.Contains(broken[0].String(), c.want) {
				t.Errorf("got %v, want one breach of %q", broken, c.want)
			}
		})
	}
}

// The comment of a large package says where things are: each file but one is named here.
func TestALargePackageHasAMap(t *testing.T) {
	comment, sources := "// Package x is", map[string]string{}
	for n := range maxUnmapped + 1 {
		sources[fmt.Sprintf("core/x/f%d.go", n)] = "package x\n"
		if n > 0 {
			comment += fmt.Sprintf(", f%d", n)
		}
	}
	sources["core/x/f1.go"] = comment + ".\npackage x\n"
	if broken := laws(sources); len(broken) != 1 || !strings.HasPrefix(broken[0].String(), "core/x/f0.go") {
		t.Errorf("got %v, want one breach of the file that is not named", broken)
	}
	delete(sources, "core/x/f0.go")
	if broken := laws(sources); len(broken) != 0 {
		t.Error(broken)
	}
}

func TestWhatTheLawsAllow(t *testing.T) {
	body := "// Package x is.\npackage x\n\n"
	for name, c := range map[string]struct{ path, source string }{
		"worker with rows":    {"federation/sender/a.go", importing("rempart/storage")},
		"own subpackage":      {"federation/inbound/a.go", importing("rempart/federation/keys")},
		"core and storage":    {"core/rooms/a.go", importing("rempart/storage")},
		"sync reads rooms":    {"core/sync/a.go", importing("rempart/core/rooms")},
		"test fixtures":       {"core/rooms/a_test.go", importing("rempart/internal/testkit")},
		"egress dials":        {"internal/egress/a.go", body + "import \"net\"\n\nvar d net.Dialer\n"},
		"tests dial":          {"tests/load/a.go", body + "import \"net/http\"\n\nvar c http.Client\n"},
		"handlers":            {"clientapi/a.go", body + "import \"net/http\"\n\nvar _ http.Handler\n"},
		"fixed table":         {"core/users/a.go", body + "var names = map[string]int{\"a\": 1}\n\nfunc f() int { names := 1; names++; return names }\n"},
		"status codes":        {"core/users/a.go", body + "import \"net/http\"\n\nconst c = http.StatusOK\n"},
		"domain act":          {"core/users/a.go", body + "// S is.\ntype S struct{}\n\n// SetName renames.\nfunc (s *S) SetName(id, name string) error { return nil }\n"},
		"familiar method":     {"core/users/a.go", body + "// E is.\ntype E struct{}\n\nfunc (E) Error() string { return \"\" }\n"},
		"method of no export": {"core/users/a.go", body + "type s struct{}\n\nfunc (s) Error() string { return \"\" }\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, b := range laws(map[string]string{c.path: c.source}) {
				t.Error(b)
			}
		})
	}
}
