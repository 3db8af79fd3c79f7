package storage

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// keptOfRooms are tables with a room's number or id, or that of an event, whose rows stay when the room is removed, and why.
var keptOfRooms = map[string]string{
	"changes":             "the stream goes by time",
	"reports":             "who judges reports must see those of a room that he removed",
	"blocked_rooms":       "a removed room may be one that nobody is to enter again",
	"gone_rooms":          "says that the room was removed",
	"key_backup_sessions": "the user's own: what he kept may be read elsewhere",
	"call_grants":         "hours old at most, and by the room's id",
}

// columnsOf lists the columns of each table with whether they are text and bytes: "" for numbers.
func columnsOf(t *testing.T, db *DB) map[string]map[string]string {
	t.Helper()
	text := `SELECT m.name, p.name, p.type FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table' AND m.sql NOT LIKE '%VIRTUAL%'`
	if db.dialect.arrays {
		text = `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema()`
	}
	out := map[string]map[string]string{}
	err := db.each(t.Context(), text, nil, func(r *sql.Rows) error {
		var table, column, typ string
		err := r.Scan(&table, &column, &typ)
		if out[table] == nil {
			out[table] = map[string]string{}
		}
		out[table][column] = strings.ToLower(typ)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A room that is removed leaves nothing behind in any table that has to do with rooms or events, but for what is kept on purpose.
// Every new table with such a column is looked at.
func TestNothingStaysOfARemovedRoom(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		const nid = int64(77)
		var tables []string
		for table, columns := range columnsOf(t, r.DB) {
			_, room := columns["room"]
			_, id := columns["room_id"]
			_, event := columns["event"]
			if strings.HasPrefix(table, "search_") && table != "search_docs" || !room && !id && !event && table != "event_json" {
				continue
			}
			tables = append(tables, table)
			var names, places []string
			var args []any
			for _, column := range slices.Sorted(maps.Keys(columns)) {
				value := any(nid)
				switch typ := columns[column]; {
				case strings.Contains(typ, "blob") || strings.Contains(typ, "bytea"):
					value = []byte("{}")
				case strings.Contains(typ, "text"):
					value = "!77"
				case strings.Contains(typ, "tsvector"):
					continue
				}
				args = append(args, value)
				names, places = append(names, column), append(places, fmt.Sprint("$", len(args)))
			}
			c := &Change{}
			c.Guard(Guard{sql: `INSERT INTO ` + table + ` (` + strings.Join(names, ", ") + `) VALUES (` + strings.Join(places, ", ") + `)`,
				args: args, want: 1})
			if err := r.Commit(t.Context(), c); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
		}
		c := &Change{}
		c.Guard(CloseRoom(nid, 1)...)
		if err := r.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := r.PurgeRoom(t.Context(), nid, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			var n int
			if err := r.row(t.Context(), `SELECT COUNT(*) FROM `+table, nil, &n); err != nil {
				t.Fatal(err)
			}
			if _, kept := keptOfRooms[table]; (n > 0) != kept {
				t.Errorf("%s: %d rows are left, kept on purpose: %v", table, n, kept)
			}
		}
		if len(tables) < 25 {
			t.Errorf("only %v were looked at", tables)
		}
	})
}
