package storage

import (
	"math/bits"
	"strconv"
	"strings"
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

// table describes how rows of one table are added. It is made once, at package level, and never changed.
type table struct {
	name string
	cols []column
	// key is how many of the first columns make the primary key; an upsert needs it.
	key int
	// onConflict is "" (an error), "ignore" or "update" (every column that is not key), or a clause of its own.
	onConflict string
	// texts are the multi-row inserts for 1, 2, 4 … 64 rows.
	texts [7]string
}

// newTable describes a table by "name:type" columns, for example "nid:i json:b".
func newTable(name, columns string, key int, onConflict string) *table {
	t := &table{name: name, key: key, onConflict: onConflict}
	for f := range strings.FieldsSeq(columns) {
		n, typ, _ := strings.Cut(f, ":")
		t.cols = append(t.cols, column{n, colType(typ[0])})
	}
	for i := range t.texts {
		t.texts[i] = t.insertValues(1 << i)
	}
	return t
}

// values is the insert of n rows, n a power of two up to 64.
func (t *table) values(n int) string { return t.texts[bits.TrailingZeros(uint(n))] }

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

// insertValues is a multi-row insert of n rows with parameters from first on ("$1" style).
func (t *table) insertValues(n int) string {
	var sb strings.Builder
	sb.WriteString("INSERT INTO " + t.name + " (" + t.columnList() + ") VALUES ")
	p := 1
	for r := range n {
		sb.WriteString(comma(r) + "(")
		for i := range t.cols {
			sb.WriteString(comma(i) + "$" + strconv.Itoa(p))
			p++
		}
		sb.WriteByte(')')
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

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}
