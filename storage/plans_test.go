package storage

import (
	"database/sql"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// walked are functions with statements that walk a whole table or a whole room, and why they may.
var walked = map[string]string{
	"":                      "the beginnings of statements: what follows them is looked at where it is written",
	"CloseRoom":             "invitations and delayed events, once when a room is removed",
	"CountChanges":          "asked for by tests",
	"CountPushersFailing":   "the pushers that a gateway refuses, asked for by administrators",
	"DeletePerson":          "addresses under proof are few",
	"EachStickyRoom":        "at the start; what sticks ends within an hour",
	"EachStickyWaitingRoom": "at the start; what sticks ends within an hour",
	"EachStranger":          "at the start and when the policy changes, by a reader",
	"EachThreadSubscriber":  "at the start",
	"Examine":               "along the key, newest first, one row",
	"FindDepthByTime":       "along the index, deepest first, one row",
	"FindLedgerUnsealed":    "one row is left of each sealed block of 256",
	"HasRegistrationTokens": "one row",
	"ListActivePushers":     "at the start of who holds the lease",
	"ListAppservices":       "a row for each service",
	"ListAudit":             "along the key, newest first, up to a limit",
	"ListClosures":          "at the start",
	"ListDestinations":      "at the start; a row for each server",
	"ListErasedLedgerNames": "once an hour, by a reader",
	"ListHeldRooms":         "what closed rooms hold back",
	"ListInboxLanes":        "at the start; what waits is bounded",
	"ListLatestRooms":       "along the stream, newest first, up to a limit",
	"ListNetworkRooms":      "the rooms of a network, which are what is asked for",
	"ListPeopledNames":      "a row for each name; SQLite makes itself an index for it",
	"ListPublicRooms":       "the directory itself, by an index of its own",
	"ListPushRules":         "at the start, from user to user",
	"ListServerPlaces":      "at the start, up to a limit",
	"ListWaves":             "what is under way",
	"NextDelayed":           "along the index, up to a limit",
	"PruneGoneRooms":        "a row for each room removed lately",
	"PrunePusherProgress":   "at the start of who holds the lease, by a reader",
	"PruneSticky":           "what waits for its sender ends within an hour",
	"PurgeRoom":             "the room is what goes; up to a limit",
	"QuarantineMediaOf":     "all that a user uploaded is what an administrator asks for",
	"ReplaceSoftFailed":     "what waits for its sender ends within an hour",
	"accountEnds":           "along the index, up to a limit",
	"beginAnew":             "a restored backup, before anybody is served",
	"listLedgerCheckpoints": "asked for by commands",
	"listLedgerNames":       "asked for by commands",
	"missions":              "asked for by administrators",
	"peopleByWords":         "the index of words itself",
	"plan":                  "the tables themselves, when a database moves",
	"purgeChange":           "the beginnings of statements: events in a span of positions follow",
	"pushers":               "the beginning of a statement: a condition follows",
}

// small are tables that hold a handful of rows whatever the installation is like.
var small = []string{"CONSTANT", "stream", "nodes", "search_indexed", "jobs", "ledger_head", "push_cursor", "schema_version", "server_names"}

var walks = regexp.MustCompile(`SCAN (\w+)|(SEARCH) \w+ USING (?:COVERING )?INDEX (?:events_(?:room|history) \(room=\?\)|media_user \(usr=\?\))`)

// No statement walks a whole table of those that grow with the installation, or all events of a room, unless it is known and said why.
// What administrators list is measured by tests/load/large.
func TestNoStatementWalksTheInstallation(t *testing.T) {
	r := openRig(t, Options{URL: filepath.Join(t.TempDir(), "plans.db")})
	statements := statementsOf(t)
	looked, used := 0, map[string]bool{}
	for _, s := range statements {
		plan, ok := planOf(t, r.DB, s.text)
		if !ok {
			continue // a part of a statement, or PostgreSQL's own
		}
		looked++
		for _, m := range walks.FindAllStringSubmatch(plan, -1) {
			if slices.Contains(small, m[1]) || strings.Contains(plan, "CO-ROUTINE "+m[1]+"\n") {
				continue
			}
			used[s.in] = true
			if walked[s.in] == "" {
				t.Errorf("%s in %s walks more than it answers:\n%s\n%s", s.in, s.file, s.text, plan)
			}
		}
	}
	if looked < 300 {
		t.Errorf("only %d of %d statements could be explained", looked, len(statements))
	}
	for name := range walked {
		if !used[name] {
			t.Logf("%q walks nothing any more: it needs no reason", name)
		}
	}
}

type written struct{ file, in, text string }

// statementsOf reads the statements from the package's own source.
func statementsOf(t *testing.T) []written {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "admin_") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if files[name], err = parser.ParseFile(token.NewFileSet(), name, src, 0); err != nil {
			t.Fatal(err)
		}
	}
	consts := map[string]ast.Expr{}
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				constsIn(g, consts)
			}
		}
	}
	var out []written
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, d := range files[name].Decls {
			in, known := "", consts
			if f, ok := d.(*ast.FuncDecl); ok {
				in, known = f.Name.Name, maps.Clone(consts)
				constsIn(f, known)
			}
			ast.Inspect(d, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if _, named := n.(*ast.Ident); !ok || named {
					return true
				}
				text, ok := textOf(e, known)
				if ok && begins.MatchString(text) {
					out = append(out, written{name, in, text})
				}
				return !ok
			})
		}
	}
	return out
}

// constsIn notes the constants of a declaration.
func constsIn(d ast.Node, into map[string]ast.Expr) {
	ast.Inspect(d, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == len(v.Values) {
			for i, name := range v.Names {
				into[name.Name] = v.Values[i]
			}
		}
		return true
	})
}

var begins = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s`)

// textOf puts together a text out of literals and constants; what is only known at run time is left out of it.
func textOf(e ast.Expr, consts map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.ParenExpr:
		return textOf(e.X, consts)
	case *ast.Ident:
		if of := consts[e.Name]; of != nil {
			if text, ok := of.(*ast.Ident); !ok || text.Name != e.Name {
				return textOf(of, consts)
			}
		}
	case *ast.BinaryExpr:
		a, first := textOf(e.X, consts)
		b, second := textOf(e.Y, consts)
		return a + b, e.Op == token.ADD && (first || second)
	}
	return "", false
}

var places = regexp.MustCompile(`[$?](\d+)`)

func planOf(t *testing.T, db *DB, text string) (string, bool) {
	t.Helper()
	text = strings.TrimRight(text, " \n\t")
	if strings.HasSuffix(text, "IN") {
		text += " (1, 2)"
	}
	most := strings.Count(text, "?")
	for _, m := range places.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	args := make([]any, most)
	for i := range args {
		args[i] = int64(1)
	}
	rows, err := db.read.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+text, args...)
	if err != nil {
		return "", false
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var id, parent, unused int
		var detail sql.NullString
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		out = append(out, detail.String)
	}
	return strings.Join(out, "\n"), rows.Err() == nil
}
