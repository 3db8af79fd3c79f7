package arch

import (
	"fmt"
	"slices"
	"strings"
)

// entrances decode, authorise, call the core and encode.
func entrances() []string {
	return []string{"clientapi", "federation", "mediaapi", "adminapi", "gateway", "sfu"}
}

// Layers checks laws 1 to 4 and the part of law 7 that imports show: who may import whom within the module.
func Layers(files []*File) []Breach {
	var broken []Breach
	for _, f := range files {
		if f.Test {
			continue
		}
		for _, imported := range f.Imports {
			if law := forbidden(f.Folder, imported); law != "" {
				broken = append(broken, Breach{f.Path, fmt.Sprintf("imports %s: %s", imported, law)})
			}
		}
	}
	return broken
}

// forbidden says which law an import breaks, "" if none.
func forbidden(folder, imported string) string {
	to := local(imported)
	switch {
	case within(to, "cmd", "tests"):
		return "nothing imports cmd or tests"
	case within(to, "internal/testkit"):
		return "only tests import internal/testkit"
	case within(folder, "internal"):
		return unless(to == "" || within(to, "internal"), "law 1: internal reaches nothing above it")
	case within(folder, "storage"):
		return unless(to == "" || within(to, "internal", "storage") && !within(to, "internal/httpx"), "law 1: storage knows rows, not rules")
	case within(folder, "core"):
		return forbiddenInCore(folder, to)
	case within(folder, "policy"):
		return unless(to == "" || within(to, "internal/matrix", "policy"), "law 4: callers bring the facts to policy")
	case within(folder, "config"):
		return unless(to == "" || within(to, "internal", "config"), "config is read by cmd and reaches no part")
	}
	for _, entrance := range entrances() {
		if within(folder, entrance) {
			return forbiddenInEntrance(folder, entrance, to)
		}
	}
	return ""
}

func unless(ok bool, law string) string {
	if ok {
		return ""
	}
	return law
}

// forbiddenInCore is law 2, and of law 7 that the core makes no network call.
func forbiddenInCore(folder, to string) string {
	switch {
	case within(to, entrances()...):
		return "law 2: the core reaches no entrance"
	case within(to, "config"):
		return "law 2: the core reaches no configuration"
	case within(to, "internal/httpx"):
		return "law 2: the core reaches no router"
	case within(folder, "core/rooms") && within(to, "core/sync"):
		return "law 2: rooms write, sync reads"
	case within(to, "internal/egress"):
		return "law 7: the core makes no network call; declare what it needs in core/outside.go"
	}
	return ""
}

// forbiddenInEntrance is law 3.
func forbiddenInEntrance(folder, entrance, to string) string {
	switch {
	case within(to, "storage") && !within(folder, "federation/sender", "federation/keys"):
		return "law 3: entrances reach no storage; ask the core"
	case within(to, "config"):
		return "law 3: cmd hands settings to entrances"
	}
	for _, other := range entrances() {
		if other != entrance && within(to, other) {
			return "law 3: entrances do not reach one another"
		}
	}
	return ""
}

// homes says where each outside library lives (law 6). A library that is not here has no home yet.
func homes() map[string][]string {
	return map[string][]string{
		"github.com/gorilla/mux":                  {"internal/httpx"},
		"github.com/matrix-org/gomatrixserverlib": {"internal/matrix"},
		"github.com/matrix-org/util":              {"internal/matrix"},
		"github.com/tidwall":                      {"internal/matrix"},
		"github.com/go-json-experiment/json":      {"internal/matrix"}, // the next encoding/json: keys in their own letters
		"github.com/sirupsen/logrus":              {"internal/log"},
		"github.com/spf13/viper":                  {"config"},
		"go.yaml.in/yaml":                         {"config", "policy", "sfu/protoyaml"}, // registration files, whose keys viper would cut at dots; policies
		"github.com/lib/pq":                       {"storage", "internal/testkit"},
		"modernc.org/sqlite":                      {"storage", "internal/testkit", "core/ledger", "tests/sovereign"}, // tests tamper with the ledger's file
		"modernc.org/libc":                        {"storage"},                                                       // the file layer of the power-loss proof
		"github.com/pion":                         {"sfu/media", "tests/calls"},
		"github.com/livekit":                      {"sfu/media", "tests/calls"},
		"github.com/redis/go-redis":               {"sfu/media"}, // LiveKit takes its client
		"github.com/gorilla/websocket":            {"tests/calls"},
		"google.golang.org/protobuf":              {"sfu/media", "sfu/protoyaml", "tests/calls"}, // LiveKit's messages
		"golang.org/x/net":                        {"core/preview", "tests/sovereign"},           // the lab answers questions about names
		"golang.org/x/crypto":                     {"core/users"},
		"golang.org/x/text":                       {"core/users", "internal/words"},
		"golang.org/x/mod":                        {"core/ledger"}, // Merkle trees and signed notes
		"golang.org/x/sys":                        {"cmd/rempart"},
		"golang.org/x/image":                      {"core/media"},
		"maunium.net/go/mautrix":                  {"tests/clients", "tests/federation/interop"},
		"github.com/rs/zerolog":                   {"tests/clients", "tests/federation/interop"}, // mautrix logs by it
	}
}

// Libraries checks law 6: each outside library has one home.
func Libraries(files []*File) []Breach {
	var broken []Breach
	for _, f := range files {
		for _, imported := range f.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") {
				continue // the standard library, or this module
			}
			library, folders := homeOf(imported)
			if !slices.ContainsFunc(folders, func(home string) bool { return within(f.Folder, home) }) {
				broken = append(broken, Breach{f.Path, fmt.Sprintf("imports %s: law 6: the home of %s is %s", imported, library, orNowhere(folders))})
			}
		}
	}
	return broken
}

func homeOf(imported string) (library string, folders []string) {
	for library, folders := range homes() {
		if imported == library || strings.HasPrefix(imported, library+"/") {
			return library, folders
		}
	}
	return imported, nil
}

func orNowhere(folders []string) string {
	if len(folders) == 0 {
		return "not decided (docs/adr)"
	}
	return strings.Join(folders, ", ")
}
