package storage

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"
)

// colType is the type of a column as the PostgreSQL fast path must name it.
type colType byte

const (
	intCol   colType = 'i' // BIGINT; bool values are stored as 0 and 1
	textCol  colType = 't' // TEXT
	bytesCol colType = 'b' // BLOB or BYTEA
)

type column struct {
	name string
	typ  colType
}

// table describes how rows of one table are added. It is made once, at package level; what it says never changes.
type table struct {
	name string
	cols []column
	// key is how many of the first columns make the primary key; an upsert needs it.
	key int
	// onConflict is "" (an error), "ignore" or "update" (every column that is not key), or a clause of its own.
	onConflict string
	// texts are the multi-row inserts for 1, 2, 4 … maxRows rows, made when they are first needed.
	texts [7]atomic.Pointer[string]
}

// maxRows is how many rows one insert adds at the most on SQLite.
const maxRows = 64

// newTable describes a table by "name:type" columns, for example "nid:i json:b".
func newTable(name, columns string, key int, onConflict string) *table {
	t := &table{name: name, key: key, onConflict: onConflict}
	for f := range strings.FieldsSeq(columns) {
		n, typ, _ := strings.Cut(f, ":")
		t.cols = append(t.cols, column{n, colType(typ[0])})
	}
	return t
}

// values is the insert of n rows, n a power of two up to maxRows.
func (t *table) values(n int) string {
	kept := &t.texts[bits.TrailingZeros(uint(n))]
	text := kept.Load()
	if text == nil {
		made := t.insertValues(n)
		text = &made
		kept.Store(text)
	}
	return *text
}

func (t *table) columnList() string {
	names := make([]string, len(t.cols))
	for i, c := range t.cols {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// conflictClause is the text behind the inserted values.
func (t *table) conflictClause() string {
	switch t.onConflict {
	case "":
		return ""
	case "ignore":
		return " ON CONFLICT DO NOTHING"
	case "update":
		var sb strings.Builder
		sb.WriteString(" ON CONFLICT (")
		for i := range t.key {
			sb.WriteString(comma(i) + t.cols[i].name)
		}
		sb.WriteString(") DO UPDATE SET ")
		for i := t.key; i < len(t.cols); i++ {
			sb.WriteString(comma(i-t.key) + t.cols[i].name + " = excluded." + t.cols[i].name)
		}
		return sb.String()
	}
	return " " + t.onConflict
}

// insertValues is a multi-row insert of n rows, as SQLite runs it.
// Why "?": the driver looks up the name of every named parameter at each run, which "$1" would be.
func (t *table) insertValues(n int) string {
	row := "(?" + strings.Repeat(", ?", len(t.cols)-1) + ")"
	var sb strings.Builder
	sb.WriteString("INSERT INTO " + t.name + " (" + t.columnList() + ") VALUES " + row)
	for range n - 1 {
		sb.WriteString(", " + row)
	}
	return sb.String() + t.conflictClause()
}

// insertArrays is the PostgreSQL form: one array parameter a column, numbered from first on.
func (t *table) insertArrays(first int) string {
	var sb strings.Builder
	sb.WriteString("INSERT INTO " + t.name + " (" + t.columnList() + ") SELECT * FROM unnest(")
	for i, c := range t.cols {
		sb.WriteString(comma(i) + "$" + strconv.Itoa(first+i) + "::" + map[colType]string{intCol: "bigint[]", textCol: "text[]", bytesCol: "bytea[]"}[c.typ])
	}
	return sb.String() + ")" + t.conflictClause()
}

// once splits rows so that the first part holds no key twice and, written in order, both parts leave what all rows one
// by one would. Of equal rows of a plain upsert only the last counts; with a clause of its own each of them does.
func (t *table) once(rows []Row) (now, later []Row) {
	if t.onConflict == "" || t.onConflict == "ignore" || t.key == 0 || len(rows) == 1 {
		return rows, nil
	}
	keys := t.keys(rows)
	last := make(map[string]int, len(rows))
	for i, k := range keys {
		last[k] = i
	}
	if len(last) == len(rows) {
		return rows, nil
	}
	for i, k := range keys {
		at, first := last[k]
		switch {
		case t.onConflict == "update":
			if at == i {
				now = append(now, rows[i])
			}
		case first:
			now = append(now, rows[i])
			delete(last, k)
		default:
			later = append(later, rows[i])
		}
	}
	return now, later
}

// keys gives the key columns of each row as one comparable value.
func (t *table) keys(rows []Row) []string {
	keys := make([]string, len(rows))
	var args []any
	var b []byte
	for i, r := range rows {
		args, b = r.args(args[:0]), b[:0]
		for _, a := range args[:t.key] {
			switch v := a.(type) {
			case int64:
				b = binary.BigEndian.AppendUint64(b, uint64(v))
			case string:
				v = cleanText(v)
				b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
			case []byte:
				b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
			}
		}
		keys[i] = string(b)
	}
	return keys
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}
