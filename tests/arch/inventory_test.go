package arch

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// handed says of each outside library that can open connections where it is handed our way out, as a piece of code that must stand
// in the file; "" as the file means that it is only used for what opens none, and why.
func handed() map[string]struct{ file, code, why string } {
	return map[string]struct{ file, code, why string }{
		"github.com/lib/pq":                       {file: "storage/dialer.go", code: "pq.NewDialListener(dialer("},
		"github.com/matrix-org/gomatrixserverlib": {why: "events alone; its HTTP client (fclient) must not be imported"},
		"github.com/matrix-org/util":              {why: "helpers of the above"},
		"github.com/spf13/viper":                  {why: "its remote stores are a package of its own, which must not be imported"},
		"github.com/gorilla/mux":                  {why: "routes"},
		"github.com/tidwall":                      {why: "reads JSON"},
		"github.com/go-json-experiment/json":      {why: "reads JSON"},
		"github.com/sirupsen/logrus":              {why: "writes to the console"},
		"go.yaml.in/yaml":                         {why: "reads YAML"},
		"modernc.org/sqlite":                      {why: "files"},
		"modernc.org/libc":                        {why: "files"},
		"github.com/pion":                         {why: "the media server, a process of its own: docs/operate/calls.md"},
		"github.com/livekit":                      {why: "the media server, a process of its own: docs/operate/calls.md"},
		"github.com/redis/go-redis":               {why: "what the media server's library asks for"},
		"google.golang.org/protobuf":              {why: "messages of the media server"},
		"golang.org/x/net":                        {why: "reads HTML"},
		"golang.org/x/crypto":                     {why: "hashes; ssh and acme must not be imported"},
		"golang.org/x/text":                       {why: "texts"},
		"golang.org/x/mod":                        {why: "Merkle trees and signed notes; its HTTP client is none of them"},
		"golang.org/x/sys":                        {why: "asks the system for memory and files"},
		"golang.org/x/image":                      {why: "pictures"},
	}
}

// never are packages that dial by themselves.
func never() []string {
	return []string{
		"github.com/matrix-org/gomatrixserverlib/fclient", "github.com/spf13/viper/remote", "golang.org/x/net/proxy", "golang.org/x/net/websocket",
		"net/rpc", "golang.org/x/crypto/ssh", "golang.org/x/crypto/acme",
	}
}

func TestLibrariesThatCanDialAreHandedOurWayOut(t *testing.T) {
	sources, err := ReadTree("../..")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := Parse(sources)
	for _, b := range dialByThemselves(files) {
		t.Error(b)
	}
	for library, folders := range homes() {
		inServer := slices.ContainsFunc(folders, func(home string) bool { return !within(home, "tests") })
		if _, ok := handed()[library]; inServer && !ok {
			t.Errorf("%s is not in the inventory: can it dial, and by whose hand?", library)
		}
	}
	for library, h := range handed() {
		if h.file == "" {
			if h.why == "" {
				t.Errorf("%s: neither handed our way out nor a reason", library)
			}
			continue
		}
		if text, err := os.ReadFile("../../" + h.file); err != nil || !strings.Contains(string(text), h.code) {
			t.Errorf("%s is not handed our way out: %s lacks %s", library, h.file, h.code)
		}
	}
	for _, b := range dialByThemselves(mustParse("core/a.go", importing("net/rpc"))) {
		if !strings.Contains(b.What, "dials by itself") {
			t.Error(b)
		}
	}
	if len(dialByThemselves(mustParse("core/a.go", importing("net/rpc")))) != 1 {
		t.Error("a package that dials by itself is not found")
	}
}

func mustParse(path, source string) []*File {
	files, _ := Parse(map[string]string{path: source})
	return files
}

// dialByThemselves finds imports of packages that open connections of their own.
func dialByThemselves(files []*File) []Breach {
	var broken []Breach
	for _, f := range files {
		if f.Test || within(f.Folder, "tests", "internal/testkit") {
			continue
		}
		for _, imported := range f.Imports {
			if slices.ContainsFunc(never(), func(n string) bool { return imported == n || strings.HasPrefix(imported, n+"/") }) {
				broken = append(broken, Breach{f.Path, fmt.Sprintf("imports %s, which dials by itself", imported)})
			}
		}
	}
	return broken
}
