package storage

import (
	"strconv"
	"strings"
)

// SearchField says in which part of its content an event is found. The numbers are stored: never renumber.
type SearchField int64

// The parts that are searched.
const (
	SearchBody SearchField = iota
	SearchName
	SearchTopic
)

// historyBase is added to the numbers of events without a place in the stream, so that they are found behind the others.
const historyBase = -1 << 62

// SearchRow makes an event be found by its words.
type SearchRow struct {
	At
	Event, Room, Sender int64
	Field               SearchField
	// Words are folded, of letters and digits only.
	Words []string
}

var searchDocsTable = newTable("search_docs", "id:i event:i room:i field:i words:t", 1, "ignore")

func (*SearchRow) table() *table { return searchDocsTable }

func (r *SearchRow) args(dst []any) []any {
	id := r.Pos
	if id == 0 {
		id = historyBase + r.Event
	}
	return append(dst, id, r.Event, r.Room, int64(r.Field), roomMark(r.Room)+" "+senderMark(r.Sender)+" "+strings.Join(r.Words, " "))
}

// Marks stand among the words and say in which room, by whom. They begin with letters of private use, which no word has.
func roomMark(nid int64) string   { return "\ue000" + strconv.FormatInt(nid, 36) }
func senderMark(nid int64) string { return "\ue001" + strconv.FormatInt(nid, 36) }

// dropSearch is the guard after which an event is not found any more.
func dropSearch(event int64) Guard {
	return Guard{sql: `DELETE FROM search_docs WHERE id = (SELECT CASE WHEN pos > 0 THEN pos ELSE nid + $2 END FROM events WHERE nid = $1)`,
		args: []any{event, int64(historyBase)}, want: anyRows}
}
